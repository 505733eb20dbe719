"""Saving and restoring a copy, whatever interrupts either: damage, crashes, writers beside it."""

import threading
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from afterglow.bulk.dump.create import create_dump
from afterglow.bulk.dump.load import load_dump
from afterglow.catalog import Catalog, deletions
from afterglow.collection import Engine
from afterglow.errors import Corrupt, Unavailable
from afterglow.jobs.every_collection import all_collections as named
from afterglow.jobs.purge import purge_dropped
from afterglow.storage.ports import Delete, ObjectNotFound, Stores
from tests.bulk.dumping import PLACE, contents, database, dump_store, fill, flush, opened, problems, write
from tests.support.faulty import Crash, Fault, Faults, nth
from tests.support.stores import Clock, new_collection, stores_at, with_faults

pytestmark = pytest.mark.slow


def test_a_damaged_copy_makes_nothing(stores: Stores, other: Stores, folder: Path) -> None:
    fill(stores)
    create_dump(stores, database(stores), dump_store(folder))
    copy = folder / "copy"
    for harmed in sorted((copy / "objects").iterdir()):
        whole = harmed.read_bytes()
        for damage in (b"", whole[:-1], bytes([whole[0] ^ 1]) + whole[1:], None):
            harmed.unlink()
            if damage is not None:
                harmed.write_bytes(damage)
            name = f"damaged{len(Catalog(other.table, other.system).list_databases('default_tenant'))}"
            with pytest.raises(Corrupt, match=harmed.name):
                load_dump(other, dump_store(folder), "default_tenant", name)
            harmed.write_bytes(whole)
    assert problems(other) == []
    index_file = copy / "backup.json"
    index_file.write_bytes(index_file.read_bytes().replace(b"everything", b"everythinG"))
    with pytest.raises(Corrupt, match=r"backup\.json does not match"):
        load_dump(other, dump_store(folder), *PLACE)


def test_damage_in_the_source_is_not_copied(stores: Stores, folder: Path) -> None:
    fill(stores)
    harmed = next((folder / "data" / "objects").glob("*/segments/*/vectors"))
    harmed.write_bytes(harmed.read_bytes()[:-1] + b"\xff")
    with pytest.raises(Corrupt, match="vectors does not match its checksum"):
        create_dump(stores, database(stores), dump_store(folder))
    assert not (folder / "copy" / "backup.json").exists()


def test_a_save_that_is_killed_anywhere_is_run_again(stores: Stores, folder: Path) -> None:
    """And the copy that was there before stays whole."""
    scope = fill(stores)
    create_dump(stores, database(stores), dump_store(folder))
    old = contents(stores)
    write(stores, scope, 60, 12, text="y" * 500)
    flush(stores, scope)
    write(stores, scope, 80, 12, text="z" * 500)
    for step in range(1, 200):
        faults = Faults(nth(step, Fault.CRASH_BEFORE if step % 2 else Fault.CRASH_AFTER))
        held = dump_store(folder)
        faulty = with_faults(replace(stores, objects=held.objects), faults).objects
        try:
            create_dump(stores, database(stores), replace(held, objects=faulty))
        except Crash:
            if step % 3 == 0:
                with opened(folder / f"old{step}") as third:
                    load_dump(third, dump_store(folder), *PLACE)
                    assert contents(third) in (old, contents(stores))
            continue
        break
    else:
        raise AssertionError("it never came to an end")
    assert step > 5
    with opened(folder / "new") as third:
        load_dump(third, dump_store(folder), *PLACE)
        assert contents(third) == contents(stores)


def test_a_restore_that_is_killed_anywhere_is_run_again_and_leaves_nothing(stores: Stores, folder: Path) -> None:
    fill(stores)
    create_dump(stores, database(stores), dump_store(folder))
    for step in range(1, 200):
        clock = Clock()
        with opened(folder / f"target{step}", clock) as target:
            try:
                load_dump(
                    with_faults(target, Faults(nth(step, Fault.CRASH_BEFORE if step % 2 else Fault.CRASH_AFTER))),
                    dump_store(folder),
                    *PLACE,
                )
                ended = True
            except Crash:
                ended = False
            assert problems(target) == []
            report = load_dump(target, dump_store(folder), *PLACE) if not ended else None
            assert contents(target) == contents(stores)
            assert report is None or report.loaded + report.already_present == 3
            clock.skipped += 25 * 3600
            purge_dropped(target)
            purge_dropped(target)
            ids = {str(item.collection) for item in named(target)}
            assert {info.key.partition("/")[0] for info in target.objects.list("")} <= ids
            assert contents(target) == contents(stores)
        if ended:
            break
    else:
        raise AssertionError("it never came to an end")
    assert step > 10


def test_a_restore_that_takes_longer_than_its_note(stores: Stores, other: Stores, folder: Path) -> None:
    fill(stores)
    create_dump(stores, database(stores), dump_store(folder))
    commit_write = deletions.commit_write

    def too_late(note: deletions.DeletionRecord) -> Delete:
        deletions.update(other.table, replace(note, purge_started=True))
        return commit_write(note)

    with mock.patch.object(deletions, "commit_write", too_late), pytest.raises(Unavailable, match="took too long"):
        load_dump(other, dump_store(folder), *PLACE)
    assert contents(other) == {}


def test_a_dump_during_writes_and_indexing(stores: Stores, other: Stores, folder: Path) -> None:
    """What is copied is a moment: all the records of a write, or none; nothing is missed that was there before."""
    scope = new_collection(stores, "busy")[0]
    write(stores, scope, 0, 30)
    done = threading.Event()
    failed: list[BaseException] = []

    def busy() -> None:
        own = stores_at(folder / "data", replace(stores.settings, gc_grace_seconds=0.0))
        try:
            for number in range(30, 900, 30):
                write(own, scope, number, 30, text="x" * (number % 4) * 200)
                flush(own, scope)
        except BaseException as error:  # noqa: BLE001 - reported by the test's own thread
            failed.append(error)
        finally:
            own.table.close()
            done.set()

    thread = threading.Thread(target=busy)
    thread.start()
    copied = 0
    while not done.is_set() or not copied:
        create_dump(stores, database(stores), dump_store(folder))
        name = f"copy{copied}"
        load_dump(other, dump_store(folder), "default_tenant", name)
        (records,) = (content[-1] for content in contents(other, name).values())
        assert [record[0] for record in records] == [str(number) for number in range(len(records))]
        assert len(records) % 30 == 0
        copied += 1
    thread.join()
    assert not failed
    assert problems(other) == []


def test_a_dropped_collection_is_left_out(stores: Stores, other: Stores, folder: Path) -> None:
    fill(stores)
    get = stores.objects.get
    dropped_once: list[str] = []

    def get_and_drop(key: str, *more: int) -> bytes:
        if not dropped_once:
            dropped_once.append(key)
            Engine(stores).delete_collection(*PLACE, "everything")
            raise ObjectNotFound("collected")
        return get(key, *more)

    with mock.patch.object(stores.objects, "get", get_and_drop):
        assert create_dump(stores, database(stores), dump_store(folder)).collections == 2
    load_dump(other, dump_store(folder), *PLACE)
    assert sorted(contents(other)) == ["empty", "tail"]
