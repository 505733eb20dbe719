"""Files of a watched directory, and where they go afterwards."""

from dataclasses import replace
from pathlib import Path

from afterglow.bulk.finished_files import move_finished
from afterglow.bulk.types import ImportReport, Target
from afterglow.bulk.watched_folder import DONE, FAILED, list_files


def _put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"{}")
    return path


def test_files_of_the_directory(tmp_path: Path) -> None:
    for name in ("t/d/c/a.jsonl", "t/d/c/deep/b.csv", "t/d/c/a.npy", "t/d/c/a.jsonl.import.json", "t/d/stray.jsonl"):
        _put(tmp_path / name)
    _put(tmp_path / "t/d/c/.hidden/x.jsonl")
    _put(tmp_path / DONE / "t/d/c/old.jsonl")
    files = list_files(tmp_path)
    assert [(file.source.name, file.target) for file in files] == [
        ("a.jsonl", Target("t", "d", "c")),
        ("deep/b.csv", Target("t", "d", "c")),
    ]


def test_finished_files_move_with_what_belongs_to_them(tmp_path: Path) -> None:
    report = ImportReport("0123456789", "done", "a.jsonl", 2, "t", "d", "c")
    for name in ("a.jsonl", "a.npy", "a.jsonl.import.json"):
        _put(tmp_path / "t/d/c" / name)
    move_finished(tmp_path, list_files(tmp_path)[0], report)
    done = tmp_path / DONE / "t/d/c"
    assert sorted(path.name for path in done.iterdir()) == ["a.jsonl", "a.jsonl.import.json", "a.npy"]
    _put(tmp_path / "t/d/c/a.jsonl")
    move_finished(tmp_path, list_files(tmp_path)[0], report)
    assert (done / "01234567-a.jsonl").exists()
    _put(tmp_path / "t/d/c/a.jsonl")
    move_finished(tmp_path, list_files(tmp_path)[0], replace(report, state="failed", reason="bad"))
    assert (tmp_path / FAILED / "t/d/c/a.jsonl.report.json").read_bytes() == replace(
        report, state="failed", reason="bad"
    ).encode()
    assert list_files(tmp_path) == []
