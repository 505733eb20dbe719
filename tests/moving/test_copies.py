"""A copy of a database is restored as it was: records, order, configuration, index; whatever interrupts either."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from afterglow.catalog import Catalog, Database, collections, dropped
from afterglow.collection import Engine
from afterglow.collection.model import Records, Scope, Selection
from afterglow.collection.replica import Replica
from afterglow.errors import AlreadyExists, Corrupt, NotFound, Unavailable
from afterglow.jobs.dropped import clear
from afterglow.jobs.elsewhere import open_elsewhere
from afterglow.jobs.index import index
from afterglow.jobs.verify import everything as named
from afterglow.jobs.verify import verify
from afterglow.log.batch import Batch, Op
from afterglow.moving import copies
from afterglow.moving.copies import Vault
from afterglow.moving.local import Local
from afterglow.moving.restoring import restore
from afterglow.moving.saving import save
from afterglow.moving.sides import Described
from afterglow.settings import Ambient, Settings
from afterglow.storage.ports import Delete, ObjectMissing
from afterglow.storage.stores import Stores
from tests.moving.records import collections as any_collections
from tests.moving.records import everything
from tests.support.faulty import Crash, Fault, Faults, nth
from tests.support.stores import Clock, made_faulty, new_collection, quick_folder, stores_at

PLACE = ("default_tenant", "default_database")


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


@pytest.fixture
def stores(folder: Path) -> Iterator[Stores]:
    with opened(folder / "data") as found:
        yield found


@pytest.fixture
def other(folder: Path) -> Iterator[Stores]:
    with opened(folder / "other") as found:
        yield found


@contextmanager
def opened(path: Path, clock: Clock | None = None) -> Iterator[Stores]:
    path.mkdir(exist_ok=True)
    stores = stores_at(path, clock=clock)
    Catalog(stores.table, stores.ambient).ensure_defaults()
    yield stores
    stores.table.close()


def vault(folder: Path) -> Vault:
    return Vault(*open_elsewhere(str(folder / "copy"), Settings(), Ambient(), make=True), "copy")


def database(stores: Stores, name: str = "default_database") -> Database:
    return Catalog(stores.table, stores.ambient).get_database("default_tenant", name)


def write(stores: Stores, scope: Scope, first: int, count: int = 9, text: str = "a") -> None:
    names = [f"{number}" for number in range(first, first + count)]
    vectors = np.random.default_rng(first).standard_normal((count, 3)).astype(np.float32)
    batch = Batch(Op.UPSERT, names, vectors, documents=[text] * count, metadatas=[{"n": first}] * count)
    Engine(stores).write(scope, batch)


def fold(stores: Stores, scope: Scope) -> None:
    index(stores, Replica.for_indexer(stores, scope.collection), scope.collection, quiet=True)


def fill(stores: Stores) -> Scope:
    """A collection with a graph, tombstones and a tail with a large batch; one with a tail alone; an empty one."""
    scope = new_collection(stores, "everything", "cosine")[0]
    write(stores, scope, 0, 20)
    fold(stores, scope)
    write(stores, scope, 15, 9)
    fold(stores, scope)
    write(stores, scope, 3, 2)
    write(stores, scope, 50, 2, text="x" * 500)
    Engine(stores).write(scope, Batch(Op.DELETE, ["1"]))
    write(stores, new_collection(stores, "tail")[0], 0, 2)
    new_collection(stores, "empty")
    return scope


def contents(stores: Stores, name: str = "default_database") -> dict[str, tuple[Any, ...]]:
    """All that can be asked of a database's collections."""
    side = Local(stores, Engine(stores))
    return {
        each.name: (each.schema, each.metadata, each.dimension, everything(side.contents(each)))
        for each in side.collections("default_tenant", name)
    }


def problems(stores: Stores) -> list[str]:
    looked = [verify(stores, each) for each in named(stores)]
    return [problem for each in looked if each is not None for problem in each.problems]


def test_all_of_it_comes_back(stores: Stores, other: Stores, folder: Path) -> None:
    scope = fill(stores)
    report = save(stores, database(stores), vault(folder))
    assert report.collections == 3
    assert report.new == report.objects > 5
    made = restore(other, vault(folder), *PLACE)
    assert (made.made, made.before) == (3, 0)
    assert contents(other) == contents(stores)
    assert problems(other) == []
    ours, theirs = (collections.by_name(each.table, database(each), "everything") for each in (stores, other))
    assert ours is not None
    assert theirs is not None
    assert ours.id != theirs.id
    assert (ours.folded, ours.folded_ops) == (theirs.folded, theirs.folded_ops)
    before, after = Replica(stores, ours.id).view(), Replica(other, theirs.id).view()
    assert (before.applied, before.ops, before.next_ordinal) == (after.applied, after.ops, after.next_ordinal)
    assert [each.graph is None for each in before.parts] == [each.graph is None for each in after.parts]
    # It is a collection like any other: written, folded, searched.
    again = Scope(*PLACE, theirs.id)
    for each, where in ((stores, scope), (other, again)):
        write(each, where, 30, 30)
        fold(each, where)
    assert contents(other) == contents(stores)
    query = np.ones((1, 3), dtype=np.float32)
    (left,), (right,) = (
        Engine(each).query(where, query, 5, Selection(), frozenset())
        for each, where in ((stores, scope), (other, again))
    )
    assert left.records.ids == right.records.ids
    assert problems(other) == []


@given(st.lists(any_collections(most=6), min_size=1, max_size=3), st.data())
@hypothesis_settings(max_examples=20)
def test_anything_comes_back(drawn: list[Records], data: st.DataObject) -> None:
    with quick_folder() as folder, ExitStack() as stack:
        stores, other = (stack.enter_context(opened(folder / name)) for name in ("data", "other"))
        side = Local(stores, Engine(stores))
        for number, records in enumerate(drawn):
            made = side.make(Described("", *PLACE, f"number{number}", metadata={"n": number}))
            if records.ids:
                side.add(made, records)
                if data.draw(st.booleans()):
                    found = Scope(*PLACE, named_id(stores, f"number{number}"))
                    fold(stores, found)
                    Engine(stores).write(found, Batch(Op.DELETE, records.ids[:1]))
        save(stores, database(stores), vault(folder))
        restore(other, vault(folder), *PLACE)
        assert contents(other) == contents(stores)
        assert problems(other) == []


def named_id(stores: Stores, name: str) -> UUID:
    found = collections.by_name(stores.table, database(stores), name)
    assert found is not None
    return found.id


def test_into_another_database_beside_the_first(stores: Stores, folder: Path) -> None:
    fill(stores)
    save(stores, database(stores), vault(folder))
    with pytest.raises(AlreadyExists, match="'empty' is there already in database 'default_database'"):
        restore(stores, vault(folder), *PLACE)
    restore(stores, vault(folder), "default_tenant", "again")
    assert contents(stores, "again") == contents(stores)
    assert restore(stores, vault(folder), "default_tenant", "again").before == 3
    restore(stores, vault(folder), "new_tenant", "again")
    assert problems(stores) == []


def test_what_is_there_is_not_copied_again_and_leftovers_go(stores: Stores, folder: Path) -> None:
    scope = fill(stores)
    first = save(stores, database(stores), vault(folder))
    assert save(stores, database(stores), vault(folder)).new == 0
    write(stores, scope, 100, 9)
    second = save(stores, database(stores), vault(folder))
    # One entry more: its batch and another log, and nothing of the segments.
    assert (second.new, second.removed) == (2, 0)
    assert second.objects == first.objects + 1
    vault(folder).objects.put("objects/leftover", b"of an interrupted run")
    later = replace(stores, ambient=replace(stores.ambient, now=lambda: Ambient().now() + 3 * 24 * 3600))
    assert save(later, database(stores), vault(folder)).removed == 2
    with opened(folder / "third") as third:
        restore(third, vault(folder), *PLACE)
        assert contents(third) == contents(stores)


def test_forks_share_what_they_share(stores: Stores, other: Stores, folder: Path) -> None:
    scope = fill(stores)
    before = save(stores, database(stores), vault(folder)).objects
    Engine(stores).fork(scope, "forked")
    assert save(stores, database(stores), vault(folder)).objects == before
    Engine(stores).delete_collection(*PLACE, "everything")
    save(stores, database(stores), vault(folder))
    restore(other, vault(folder), *PLACE)
    assert sorted(contents(other)) == ["empty", "forked", "tail"]
    assert contents(other) == contents(stores)


def test_a_place_holds_one_database(stores: Stores, folder: Path) -> None:
    fill(stores)
    Catalog(stores.table, stores.ambient).create_database("default_tenant", "second")
    save(stores, database(stores), vault(folder))
    with pytest.raises(AlreadyExists, match="copy holds a backup of database 'default_database'"):
        save(stores, database(stores, "second"), vault(folder))


def test_what_is_no_copy(stores: Stores, folder: Path) -> None:
    with pytest.raises(NotFound, match=r"no finished backup of a database, there is no backup\.json"):
        restore(stores, vault(folder), *PLACE)
    with pytest.raises(NotFound, match="there is no such directory"):
        open_elsewhere(str(folder / "nowhere"), Settings(), Ambient(), make=False)
    assert not (folder / "nowhere").exists()


def test_a_damaged_copy_makes_nothing(stores: Stores, other: Stores, folder: Path) -> None:
    fill(stores)
    save(stores, database(stores), vault(folder))
    copy = folder / "copy"
    for harmed in sorted((copy / "objects").iterdir()):
        whole = harmed.read_bytes()
        for damage in (b"", whole[:-1], bytes([whole[0] ^ 1]) + whole[1:], None):
            harmed.unlink()
            if damage is not None:
                harmed.write_bytes(damage)
            name = f"damaged{len(Catalog(other.table, other.ambient).list_databases('default_tenant'))}"
            with pytest.raises(Corrupt, match=harmed.name):
                restore(other, vault(folder), "default_tenant", name)
            harmed.write_bytes(whole)
    assert problems(other) == []
    index_file = copy / "backup.json"
    index_file.write_bytes(index_file.read_bytes().replace(b"everything", b"everythinG"))
    with pytest.raises(Corrupt, match=r"backup\.json does not match"):
        restore(other, vault(folder), *PLACE)


def test_damage_in_the_source_is_not_copied(stores: Stores, folder: Path) -> None:
    fill(stores)
    harmed = next((folder / "data" / "objects").glob("*/segments/*/vectors"))
    harmed.write_bytes(harmed.read_bytes()[:-1] + b"\xff")
    with pytest.raises(Corrupt, match="vectors does not match its checksum"):
        save(stores, database(stores), vault(folder))
    assert not (folder / "copy" / "backup.json").exists()


def test_a_save_that_is_killed_anywhere_is_run_again(stores: Stores, folder: Path) -> None:
    """And the copy that was there before stays whole."""
    scope = fill(stores)
    save(stores, database(stores), vault(folder))
    old = contents(stores)
    write(stores, scope, 60, 12, text="y" * 500)
    fold(stores, scope)
    write(stores, scope, 80, 12, text="z" * 500)
    for step in range(1, 200):
        faults = Faults(nth(step, Fault.CRASH_BEFORE if step % 2 else Fault.CRASH_AFTER))
        held = vault(folder)
        faulty = made_faulty(replace(stores, objects=held.objects), faults).objects
        try:
            save(stores, database(stores), replace(held, objects=faulty))
        except Crash:
            if step % 3 == 0:
                with opened(folder / f"old{step}") as third:
                    restore(third, vault(folder), *PLACE)
                    assert contents(third) in (old, contents(stores))
            continue
        break
    else:
        raise AssertionError("it never came to an end")
    assert step > 5
    with opened(folder / "new") as third:
        restore(third, vault(folder), *PLACE)
        assert contents(third) == contents(stores)


def test_a_restore_that_is_killed_anywhere_is_run_again_and_leaves_nothing(stores: Stores, folder: Path) -> None:
    fill(stores)
    save(stores, database(stores), vault(folder))
    for step in range(1, 200):
        clock = Clock()
        with opened(folder / f"target{step}", clock) as target:
            try:
                restore(
                    made_faulty(target, Faults(nth(step, Fault.CRASH_BEFORE if step % 2 else Fault.CRASH_AFTER))),
                    vault(folder),
                    *PLACE,
                )
                ended = True
            except Crash:
                ended = False
            assert problems(target) == []
            report = restore(target, vault(folder), *PLACE) if not ended else None
            assert contents(target) == contents(stores)
            assert report is None or report.made + report.before == 3
            clock.skipped += 25 * 3600
            clear(target)
            clear(target)
            ids = {str(each.collection) for each in named(target)}
            assert {info.key.partition("/")[0] for info in target.objects.list("")} <= ids
            assert contents(target) == contents(stores)
        if ended:
            break
    else:
        raise AssertionError("it never came to an end")
    assert step > 10


def test_a_restore_that_takes_longer_than_its_note(stores: Stores, other: Stores, folder: Path) -> None:
    fill(stores)
    save(stores, database(stores), vault(folder))
    finish = dropped.finish

    def too_late(note: dropped.Dropped) -> Delete:
        dropped.advance(other.table, replace(note, taken=True))
        return finish(note)

    with mock.patch.object(dropped, "finish", too_late), pytest.raises(Unavailable, match="took too long"):
        restore(other, vault(folder), *PLACE)
    assert contents(other) == {}


def test_beside_writers_and_an_indexer(stores: Stores, other: Stores, folder: Path) -> None:
    """What is copied is a moment: all the records of a write, or none; nothing is missed that was there before."""
    scope = new_collection(stores, "busy")[0]
    write(stores, scope, 0, 30)
    done = threading.Event()
    failed: list[BaseException] = []

    def busy() -> None:
        own = stores_at(folder / "data", replace(stores.settings, garbage_grace_seconds=0.0))
        try:
            for number in range(30, 900, 30):
                write(own, scope, number, 30, text="x" * (number % 4) * 200)
                fold(own, scope)
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failed.append(error)
        finally:
            own.table.close()
            done.set()

    thread = threading.Thread(target=busy)
    thread.start()
    copied = 0
    while not done.is_set() or not copied:
        save(stores, database(stores), vault(folder))
        name = f"copy{copied}"
        restore(other, vault(folder), "default_tenant", name)
        (records,) = (each[-1] for each in contents(other, name).values())
        assert [each[0] for each in records] == [str(number) for number in range(len(records))]
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
            raise ObjectMissing("collected")
        return get(key, *more)

    with mock.patch.object(stores.objects, "get", get_and_drop):
        assert save(stores, database(stores), vault(folder)).collections == 2
    restore(other, vault(folder), *PLACE)
    assert sorted(contents(other)) == ["empty", "tail"]


def test_the_list_is_readable_by_people(stores: Stores, folder: Path) -> None:
    fill(stores)
    save(stores, database(stores), vault(folder))
    body = (folder / "copy" / "backup.json").read_bytes().splitlines()[0]
    value = orjson.loads(body)
    assert (value["tenant"], value["database"]) == PLACE
    assert [each["name"] for each in value["collections"]] == ["empty", "everything", "tail"]
    assert copies.read(vault(folder)).database == "default_database"
