"""Nothing outside the watched folder is moved, changed or read through a link, a special file or a replaced file."""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from afterglow.bulk import contained_paths, watched_folder
from afterglow.bulk.directory_watcher import DirectoryWatcher
from afterglow.bulk.finished_files import move_finished
from afterglow.bulk.formats import parquet
from afterglow.bulk.types import ImportRejected, ImportReport, Target
from afterglow.bulk.watched_folder import DONE, FAILED, WatchedFile, list_files, open_watched_file
from afterglow.collection import Engine
from afterglow.deployment.base import NullQueue
from afterglow.deployment.local import open_local
from afterglow.settings import Settings, System

ROWS = b"".join(orjson.dumps({"id": f"{n}", "embedding": [n, 1.0]}) + b"\n" for n in range(3))
TARGET = "default_tenant/default_database/books"
REPORT = ImportReport("0123456789", "done", "a.jsonl", 2, "t", "d", "c")
PATIENCE_SECONDS = 120.0


def put(path: Path, content: bytes = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def fingerprint(folder: Path, *, without: Path) -> dict[str, str]:
    """Everything in the folder, links by their target, but what is in `without`."""
    found = {}
    for directory, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if Path(directory, name) != without]
        for path in (Path(directory, name) for name in [*folders, *names]):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            target = str(path.readlink()) if path.is_symlink() else ""
            digest = hashlib.sha256(content).hexdigest()
            found[str(path)] = f"{status.st_mode} {status.st_ino} {status.st_mtime_ns} {target} {digest}"
    return found


@pytest.fixture
def imports(tmp_path: Path) -> Iterator[Path]:
    """An imports folder next to a folder of victims, whose content must be the same after the test."""
    victims = tmp_path / "outside"
    for name in ("t/d/c/a.jsonl", "d/c/a.jsonl", "c/a.jsonl", "a.jsonl", "a.npy", "a.jsonl.import.json", "x/y.jsonl"):
        put(victims / name)
    before = fingerprint(victims, without=tmp_path)
    folder = tmp_path / "imports"
    folder.mkdir()
    yield folder
    assert fingerprint(victims, without=tmp_path) == before


def listing(imports: Path) -> tuple[list[str], list[str]]:
    """The paths of the files to import, and the skipped entries, both relative."""
    skipped: list[str] = []
    files = list_files(imports, lambda path, reason: skipped.append(path))
    return [str(file.source.path.relative_to(imports)) for file in files], sorted(skipped)


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("t", "t"),
        ("t/d", "d"),
        ("t/d/c", "c"),
        ("t/d/c/deep", "x"),
        ("t/d/c/b.jsonl", "a.jsonl"),
        ("t/d/c/b.npy", "a.npy"),
        ("t/d/c/b.jsonl.import.json", "a.jsonl.import.json"),
        (DONE, "t"),
        (FAILED, "t"),
    ],
)
def test_links_are_skipped_and_regular_files_are_not(imports: Path, link: str, target: str) -> None:
    put(imports / "u/d/c/regular.jsonl")
    (imports / link).parent.mkdir(parents=True, exist_ok=True)
    (imports / link).symlink_to(imports.parent / "outside" / target)
    assert listing(imports) == (["u/d/c/regular.jsonl"], [link])


def test_special_files_are_skipped_and_not_opened(imports: Path) -> None:
    put(imports / "t/d/c/regular.jsonl")
    os.mkfifo(imports / "t/d/c/pipe.jsonl")
    os.mkfifo(imports / "t/d/c/regular.npy")
    assert listing(imports) == (["t/d/c/regular.jsonl"], ["t/d/c/pipe.jsonl", "t/d/c/regular.npy"])
    file = open_watched_file(imports, "t/d/c/regular.jsonl")
    assert file is not None
    assert file.source.sibling("regular.npy") is None
    assert open_watched_file(imports, "t/d/c/pipe.jsonl") is None


def test_names_that_are_not_utf8_are_skipped(imports: Path) -> None:
    put(imports / "t/d/c/regular.jsonl")
    put(Path(os.fsdecode(os.fsencode(imports / "t/d/c") + b"/b\xff\n.jsonl")))
    put(Path(os.fsdecode(os.fsencode(imports / "t/d") + b"/\xfe/a.jsonl")))
    assert listing(imports) == (["t/d/c/regular.jsonl"], ["t/d/\\xfe", "t/d/c/b\\xff\\n.jsonl"])


def test_another_mount_is_skipped(imports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(imports / "t/d/c/regular.jsonl")
    put(imports / "t/d/mounted/a.jsonl")
    put(imports / "t/d/c/mounted.jsonl")
    mounted = {(imports / name).stat().st_ino for name in ("t/d/mounted", "t/d/c/mounted.jsonl")}
    for module in (contained_paths, watched_folder):
        monkeypatch.setattr(module, "device_of", lambda status: status.st_dev + (status.st_ino in mounted))
    assert listing(imports) == (["t/d/c/regular.jsonl"], ["t/d/c/mounted.jsonl", "t/d/mounted"])
    assert open_watched_file(imports, "t/d/mounted/a.jsonl") is None


def test_hard_links_are_imported(imports: Path) -> None:
    file = put(imports / "t/d/c/a.jsonl")
    (imports / "t/d/c/b.jsonl").hardlink_to(file)
    assert listing(imports) == (["t/d/c/a.jsonl", "t/d/c/b.jsonl"], [])


def opened(imports: Path) -> WatchedFile:
    put(imports / "t/d/c/a.jsonl", b"{}")
    file = open_watched_file(imports, "t/d/c/a.jsonl")
    assert file is not None
    assert file.target == Target("t", "d", "c")
    return file


def link_instead(path: Path, target: Path) -> None:
    path.rename(path.with_name(".away"))
    path.symlink_to(target)


@pytest.mark.parametrize(("replaced", "target"), [("a.jsonl", "a.jsonl"), ("", "c"), ("..", "d"), ("../..", "t")])
def test_a_file_that_is_replaced_by_a_link_is_neither_read_nor_moved(imports: Path, replaced: str, target: str) -> None:
    file = opened(imports)
    link_instead(Path(os.path.normpath(imports / "t/d/c" / replaced)), imports.parent / "outside" / target)
    with pytest.raises(ImportRejected, match="is gone"):
        file.source.read(0, 10)
    with pytest.raises(ImportRejected, match="is gone"), file.source.local_copy([]):
        pass
    assert file.source.reload() is None
    assert not move_finished(imports, file, REPORT)
    assert not (imports / DONE).exists()


def test_a_file_that_is_replaced_by_another_is_not_moved(imports: Path) -> None:
    file = opened(imports)
    (imports / "t/d/c/a.jsonl").rename(imports / "old")
    put(imports / "t/d/c/a.jsonl", b"{}")
    assert file.source.reload() is None
    assert not move_finished(imports, file, REPORT)
    assert (imports / "t/d/c/a.jsonl").exists()


@pytest.mark.parametrize("link", [DONE, f"{DONE}/t", f"{DONE}/t/d/c"])
def test_nothing_is_moved_through_a_link(imports: Path, link: str) -> None:
    file = opened(imports)
    (imports / link).parent.mkdir(parents=True, exist_ok=True)
    (imports / link).symlink_to(imports.parent / "outside" / "t")
    with pytest.raises(OSError, match="symbolic link"):
        move_finished(imports, file, REPORT)
    assert (imports / "t/d/c/a.jsonl").exists()


def test_links_that_belong_to_a_file_are_not_moved(imports: Path) -> None:
    file = opened(imports)
    for name in ("a.npy", "a.jsonl.import.json"):
        (imports / "t/d/c" / name).symlink_to(imports.parent / "outside" / name)
    assert file.source.sibling("a.npy") is None
    assert move_finished(imports, file, REPORT)
    assert [path.name for path in (imports / DONE / "t/d/c").iterdir()] == ["a.jsonl"]
    assert (imports / "t/d/c/a.npy").is_symlink()


def test_only_the_embeddings_of_the_file_itself_are_moved(imports: Path) -> None:
    for name in ("a.b.jsonl", "a.b.npy", "a.npy", "a.csv"):
        put(imports / "t/d/c" / name)
    file = open_watched_file(imports, "t/d/c/a.b.jsonl")
    assert file is not None
    assert move_finished(imports, file, REPORT)
    assert sorted(path.name for path in (imports / "t/d/c").iterdir()) == ["a.csv", "a.npy"]


def test_a_failed_file_with_the_longest_name_has_a_report(imports: Path) -> None:
    name = "n" * (255 - len(".jsonl")) + ".jsonl"
    for _ in range(2):
        put(imports / "t/d/c" / name)
        file = open_watched_file(imports, f"t/d/c/{name}")
        assert file is not None
        assert move_finished(imports, file, ImportReport("0123456789", "failed", name, 2, "t", "d", "c"))
    moved = sorted(path.name for path in (imports / FAILED / "t/d/c").iterdir())
    assert len(moved) == 3
    assert "0123456789.report.json" in moved


@pytest.mark.parametrize("path", ["../outside/a.jsonl", "t/../../outside/a.jsonl", "/etc/x", "t/d/c", "t//d/c/a.jsonl"])
def test_paths_out_of_the_folder_are_refused(imports: Path, path: str) -> None:
    put(imports / "t/d/c/a.jsonl")
    assert open_watched_file(imports, path) is None


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    system = System()
    engine = Engine(open_local(tmp_path, system).stores(Settings(), system, NullQueue()))
    engine.catalog.ensure_defaults()
    yield engine
    engine.close()


@pytest.mark.slow
def test_the_server_imports_regular_files_next_to_links_and_odd_names(
    imports: Path, engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = imports / TARGET
    put(folder / "rows.jsonl")
    put(Path(os.fsdecode(os.fsencode(folder) + b"/\xff.jsonl")))
    os.mkfifo(folder / "pipe.jsonl")
    (folder / "linked").symlink_to(tmp_path / "outside")
    (folder / "linked.jsonl").symlink_to(tmp_path / "outside/a.jsonl")
    (imports / FAILED).symlink_to(tmp_path / "outside")
    put(folder / "unfit.csv", b"id\n1\n")
    watcher = DirectoryWatcher(tmp_path, engine)
    watcher.start()
    try:
        wait_until((imports / DONE / TARGET / "rows.jsonl").exists)
        wait_until(lambda: "unfit.csv" in caplog.text)
        put(folder / "later.jsonl")
        wait_until((imports / DONE / TARGET / "later.jsonl").exists)
    finally:
        watcher.close()
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    for name in ("\\xff.jsonl", "pipe.jsonl", "linked", "linked.jsonl"):
        assert sum(f"{TARGET}/{name} " in message for message in messages) == 1, messages
    assert (folder / "unfit.csv").exists(), "it could not be moved through the link"


def test_no_exception_ends_the_thread(
    imports: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[None] = []

    def fail(*_: Any) -> Any:
        calls.append(None)
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("afterglow.bulk.directory_watcher.list_files", fail)
    monkeypatch.setattr("afterglow.bulk.directory_watcher._POLL_SECONDS", 0.01)
    monkeypatch.setattr("afterglow.bulk.directory_watcher._RETRY_SECONDS", 0.01)
    watcher = DirectoryWatcher(imports.parent, engine)
    watcher.start()
    wait_until(lambda: len(calls) > 3)
    watcher.close()
    assert sum("unforeseen" in record.getMessage() for record in caplog.records) == 1


def test_a_file_that_kills_the_importing_process_is_set_aside(
    imports: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    requests: list[list[str]] = []

    class KilledChild:
        """Dies of the file `a.jsonl`."""

        def __init__(self, *_: str) -> None:
            pass

        def send(self, request: list[str]) -> None:
            requests.append(request)

        def replies(self) -> Iterator[dict[str, Any]]:
            for path in requests[-1]:
                if path.endswith("a.jsonl"):
                    return
                yield {"path": path, "report": None, "error": None}

        def close(self) -> int:
            return -9

        def terminate(self) -> None:
            pass

    for name in ("a.jsonl", "b.jsonl"):
        put(imports / TARGET / name)
    monkeypatch.setattr("afterglow.bulk.directory_watcher.ChildProcess", KilledChild)
    monkeypatch.setattr("afterglow.bulk.directory_watcher._POLL_SECONDS", 0.01)
    monkeypatch.setattr("afterglow.bulk.directory_watcher._STABLE_SECONDS", 0.0)
    watcher = DirectoryWatcher(imports.parent, engine)
    watcher.start()
    wait_until(lambda: len(requests) > 3)
    watcher.close()
    assert len(requests[0]) == 2
    assert all(request == [f"{TARGET}/b.jsonl"] for request in requests[1:])
    assert sum("a.jsonl" in record.getMessage() for record in caplog.records) == 1


def test_parquet_is_read_by_its_open_descriptor(imports: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = imports / "t/d/c/a.parquet"
    path.parent.mkdir(parents=True)
    duckdb.sql(f"COPY (SELECT 'x' AS id, [1.0, 2.0] AS embedding) TO '{path}' (FORMAT parquet)")
    file = open_watched_file(imports, "t/d/c/a.parquet")
    assert file is not None
    with file.source.local_copy([]) as local:
        assert local.read_bytes() == path.read_bytes()
    assert list(parquet.read_footer(file.source).types) == ["id", "embedding"]
