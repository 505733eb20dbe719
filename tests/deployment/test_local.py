"""Opening a data directory, and the sweep over the whole of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from afterglow.deployment.base import NullQueue
from afterglow.deployment.local import OBJECTS, TABLE, LocalDeployment, open_local
from afterglow.errors import Corrupt
from afterglow.jobs.maintenance import maintain
from afterglow.jobs.start import compact_all
from afterglow.settings import Settings, System
from afterglow.storage.ports import Put
from tests.support.stores import quick_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


def opened(folder: Path) -> LocalDeployment:
    return open_local(folder, System())


@pytest.mark.parametrize("loss", ["missing", "empty"])
@pytest.mark.parametrize("rest", ["an object", "a write-ahead log"])
def test_a_lost_table_is_not_taken_for_a_new_one(folder: Path, loss: str, rest: str) -> None:
    place = opened(folder)
    place.table.put("pk", "sk", b"value")
    if rest == "an object":
        place.objects.put("a/key", b"data")
        place.table.close()
    else:
        log = (folder / f"{TABLE}-wal").read_bytes()
        place.table.close()
        (folder / f"{TABLE}-wal").write_bytes(log)
    table = folder / TABLE
    sound = table.read_bytes()
    table.unlink()
    if loss == "empty":
        table.touch()
    for _ in range(2):
        with pytest.raises(Corrupt, match=rf"{TABLE} is missing or empty.*restore the directory from a backup"):
            opened(folder)
    table.write_bytes(sound)
    again = opened(folder)
    assert again.table.get("pk", "sk") is not None
    again.table.close()


def test_a_directory_without_content_is_a_new_one(folder: Path) -> None:
    for name in (f"{OBJECTS}/.scratch", "deep/er"):
        (folder / name).mkdir(parents=True)
    (folder / f"{OBJECTS}/.scratch/left").write_bytes(b"over")
    (folder / TABLE).touch()
    (folder / f"{TABLE}-wal").touch()
    for item in (folder, folder / "deep" / "er"):
        place = opened(item)
        place.table.put("pk", "sk", b"value")
        place.table.close()


def test_a_directory_whose_objects_are_gone_still_opens(folder: Path) -> None:
    place = opened(folder)
    place.objects.put("a/key", b"data")
    place.objects.delete("a/key")
    place.table.close()
    opened(folder).table.close()


def test_only_the_leftovers_of_ended_processes_go(folder: Path) -> None:
    """Whether or not an indexer works; the next process removes them when it opens the directory."""
    place, other = opened(folder), opened(folder)
    left, used = place.objects.temporary_path("left"), other.objects.temporary_path("used")
    for path in (left, used):
        path.write_bytes(b"a graph that takes its time")
    place.table.close()
    del place
    with other.exclusive_lock():
        maintain(other, other.stores(Settings(), System(), NullQueue()))
    assert not left.exists()
    assert used.exists()
    other.objects.temporary_path("more").write_bytes(b"1")
    other.table.close()
    del other
    opened(folder).table.close()
    assert not used.exists()


def test_a_compaction_asked_for_gives_all_pages_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterglow.deployment.local._VACUUM_PAGES", 1_000)
    place = opened(folder)
    stores = place.stores(Settings(), System(), NullQueue())
    place.table.put_many([Put("p", f"{number:05}", bytes(8_000)) for number in range(3_000)])
    place.table.put_many([Put("p", f"{number:05}", b"") for number in range(3_000)])

    def free_pages() -> int:
        return int(place.table._connection().execute("PRAGMA freelist_count").fetchone()[0])

    before = free_pages()
    maintain(place, stores)
    assert free_pages() == before - 1_000 > 0
    assert list(compact_all(open_local(folder, System()), Settings(), System())) == []
    assert free_pages() == 0
    place.table.close()


def test_others_may_not_enter_a_data_directory(tmp_path: Path) -> None:
    for made_before in (False, True):
        folder = tmp_path / str(made_before)
        if made_before:
            folder.mkdir(mode=0o755)
        opened(folder).table.close()
        assert folder.stat().st_mode & 0o777 == 0o700


def test_nothing_of_ours_is_readable_in_a_directory_with_other_files(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "notes.txt").write_text("somebody's own")
    place = opened(tmp_path)
    place.table.put("pk", "sk", b"value")
    place.objects.put("a/key", b"data")
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    reachable = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir()}
    place.table.close()
    assert {name for name, others in reachable.items() if others} <= {"notes.txt", "indexer.lock"}
    assert {TABLE, f"{TABLE}-wal", OBJECTS} <= set(reachable)
