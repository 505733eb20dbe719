"""A copy of a database is restored as it was: records, order, configuration, index."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from afterglow.bulk.dump import layout
from afterglow.bulk.dump.create import create_dump
from afterglow.bulk.dump.load import load_dump
from afterglow.bulk.endpoint import CollectionInfo
from afterglow.bulk.local_endpoint import LocalEndpoint
from afterglow.catalog import Catalog, collections
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Records, Scope, Selection
from afterglow.deployment.backup_target import open_backup_target
from afterglow.errors import AlreadyExists, NotFound
from afterglow.log.batch import Batch, Op
from afterglow.settings import Settings, System
from afterglow.storage.ports import Stores
from tests.bulk.dumping import PLACE, contents, database, dump_store, fill, flush, opened, problems, write
from tests.bulk.records import collections as any_collections
from tests.support.stores import quick_folder


def test_all_of_it_comes_back(stores: Stores, other: Stores, folder: Path) -> None:
    scope = fill(stores)
    report = create_dump(stores, database(stores), dump_store(folder))
    assert report.collections == 3
    assert report.new == report.objects > 5
    made = load_dump(other, dump_store(folder), *PLACE)
    assert (made.loaded, made.already_present) == (3, 0)
    assert contents(other) == contents(stores)
    assert problems(other) == []
    ours, theirs = (collections.by_name(item.table, database(item), "everything") for item in (stores, other))
    assert ours is not None
    assert theirs is not None
    assert ours.id != theirs.id
    assert (ours.flushed_seq, ours.flushed_ops) == (theirs.flushed_seq, theirs.flushed_ops)
    before, after = Replica(stores, ours.id).snapshot(), Replica(other, theirs.id).snapshot()
    assert (before.applied_seq, before.applied_ops, before.next_row_seq) == (
        after.applied_seq,
        after.applied_ops,
        after.next_row_seq,
    )
    assert [group.graph is None for group in before.row_groups] == [group.graph is None for group in after.row_groups]
    # It is a collection like any other: written, folded, searched.
    again = Scope(*PLACE, theirs.id)
    for item, where in ((stores, scope), (other, again)):
        write(item, where, 30, 30)
        flush(item, where)
    assert contents(other) == contents(stores)
    query = np.ones((1, 3), dtype=np.float32)
    (left,), (right,) = (
        Engine(item).query(where, query, 5, Selection(), frozenset())
        for item, where in ((stores, scope), (other, again))
    )
    assert left.records.ids == right.records.ids
    assert problems(other) == []


@given(st.lists(any_collections(most=6), min_size=1, max_size=3), st.data())
@hypothesis_settings(max_examples=20)
def test_anything_comes_back(drawn: list[Records], data: st.DataObject) -> None:
    with quick_folder() as folder, ExitStack() as stack:
        stores, other = (stack.enter_context(opened(folder / name)) for name in ("data", "other"))
        side = LocalEndpoint(stores, Engine(stores))
        for number, records in enumerate(drawn):
            made = side.create_collection(CollectionInfo("", *PLACE, f"number{number}", metadata={"n": number}))
            if records.ids:
                side.add(made, records)
                if data.draw(st.booleans()):
                    found = Scope(*PLACE, named_id(stores, f"number{number}"))
                    flush(stores, found)
                    Engine(stores).write(found, Batch(Op.DELETE, records.ids[:1]))
        create_dump(stores, database(stores), dump_store(folder))
        load_dump(other, dump_store(folder), *PLACE)
        assert contents(other) == contents(stores)
        assert problems(other) == []


def named_id(stores: Stores, name: str) -> UUID:
    found = collections.by_name(stores.table, database(stores), name)
    assert found is not None
    return found.id


def test_a_restore_into_a_second_database(stores: Stores, folder: Path) -> None:
    fill(stores)
    create_dump(stores, database(stores), dump_store(folder))
    with pytest.raises(AlreadyExists, match="'empty' already exists in database 'default_database'"):
        load_dump(stores, dump_store(folder), *PLACE)
    load_dump(stores, dump_store(folder), "default_tenant", "again")
    assert contents(stores, "again") == contents(stores)
    assert load_dump(stores, dump_store(folder), "default_tenant", "again").already_present == 3
    load_dump(stores, dump_store(folder), "new_tenant", "again")
    assert problems(stores) == []


def test_what_is_there_is_not_copied_again_and_leftovers_go(stores: Stores, folder: Path) -> None:
    scope = fill(stores)
    first = create_dump(stores, database(stores), dump_store(folder))
    assert create_dump(stores, database(stores), dump_store(folder)).new == 0
    write(stores, scope, 100, 9)
    second = create_dump(stores, database(stores), dump_store(folder))
    # One entry more: its batch and another log, and nothing of the segments.
    assert (second.new, second.removed) == (2, 0)
    assert second.objects == first.objects + 1
    dump_store(folder).objects.put(f"objects/{'0' * 32}", b"of an interrupted run")
    dump_store(folder).objects.put("objects/notes.txt", b"not ours")
    later = replace(stores, system=replace(stores.system, now=lambda: System().now() + 3 * 24 * 3600))
    assert create_dump(later, database(stores), dump_store(folder)).removed == 2
    assert dump_store(folder).objects.get("objects/notes.txt") == b"not ours"
    with opened(folder / "third") as third:
        load_dump(third, dump_store(folder), *PLACE)
        assert contents(third) == contents(stores)


def test_forks_share_what_they_share(stores: Stores, other: Stores, folder: Path) -> None:
    scope = fill(stores)
    before = create_dump(stores, database(stores), dump_store(folder)).objects
    Engine(stores).fork(scope, "forked")
    assert create_dump(stores, database(stores), dump_store(folder)).objects == before
    Engine(stores).delete_collection(*PLACE, "everything")
    create_dump(stores, database(stores), dump_store(folder))
    load_dump(other, dump_store(folder), *PLACE)
    assert sorted(contents(other)) == ["empty", "forked", "tail"]
    assert contents(other) == contents(stores)


def test_a_place_holds_one_database(stores: Stores, folder: Path) -> None:
    fill(stores)
    Catalog(stores.table, stores.system).create_database("default_tenant", "second")
    create_dump(stores, database(stores), dump_store(folder))
    with pytest.raises(AlreadyExists, match="copy holds a backup of database 'default_database'"):
        create_dump(stores, database(stores, "second"), dump_store(folder))


def test_what_is_no_copy(stores: Stores, folder: Path) -> None:
    with pytest.raises(NotFound, match=r"no finished backup of a database: it has no backup\.json"):
        load_dump(stores, dump_store(folder), *PLACE)
    with pytest.raises(NotFound, match="no such directory"):
        open_backup_target(str(folder / "nowhere"), Settings(), System(), create=False)
    assert not (folder / "nowhere").exists()


def test_the_list_is_readable_by_people(stores: Stores, folder: Path) -> None:
    fill(stores)
    create_dump(stores, database(stores), dump_store(folder))
    body = (folder / "copy" / "backup.json").read_bytes().splitlines()[0]
    value = orjson.loads(body)
    assert (value["tenant"], value["database"]) == PLACE
    assert [item["name"] for item in value["collections"]] == ["empty", "everything", "tail"]
    assert layout.read(dump_store(folder)).database == "default_database"
