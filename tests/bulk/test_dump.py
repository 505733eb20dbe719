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
from tests.bulk.dumping import PLACE, contents, database, fill, fold, opened, problems, vault, write
from tests.bulk.records import collections as any_collections
from tests.support.stores import quick_folder


def test_all_of_it_comes_back(stores: Stores, other: Stores, folder: Path) -> None:
    scope = fill(stores)
    report = create_dump(stores, database(stores), vault(folder))
    assert report.collections == 3
    assert report.new == report.objects > 5
    made = load_dump(other, vault(folder), *PLACE)
    assert (made.loaded, made.already_present) == (3, 0)
    assert contents(other) == contents(stores)
    assert problems(other) == []
    ours, theirs = (collections.by_name(each.table, database(each), "everything") for each in (stores, other))
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
    assert [each.graph is None for each in before.row_groups] == [each.graph is None for each in after.row_groups]
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
        side = LocalEndpoint(stores, Engine(stores))
        for number, records in enumerate(drawn):
            made = side.create_collection(CollectionInfo("", *PLACE, f"number{number}", metadata={"n": number}))
            if records.ids:
                side.add(made, records)
                if data.draw(st.booleans()):
                    found = Scope(*PLACE, named_id(stores, f"number{number}"))
                    fold(stores, found)
                    Engine(stores).write(found, Batch(Op.DELETE, records.ids[:1]))
        create_dump(stores, database(stores), vault(folder))
        load_dump(other, vault(folder), *PLACE)
        assert contents(other) == contents(stores)
        assert problems(other) == []


def named_id(stores: Stores, name: str) -> UUID:
    found = collections.by_name(stores.table, database(stores), name)
    assert found is not None
    return found.id


def test_into_another_database_beside_the_first(stores: Stores, folder: Path) -> None:
    fill(stores)
    create_dump(stores, database(stores), vault(folder))
    with pytest.raises(AlreadyExists, match="'empty' is there already in database 'default_database'"):
        load_dump(stores, vault(folder), *PLACE)
    load_dump(stores, vault(folder), "default_tenant", "again")
    assert contents(stores, "again") == contents(stores)
    assert load_dump(stores, vault(folder), "default_tenant", "again").already_present == 3
    load_dump(stores, vault(folder), "new_tenant", "again")
    assert problems(stores) == []


def test_what_is_there_is_not_copied_again_and_leftovers_go(stores: Stores, folder: Path) -> None:
    scope = fill(stores)
    first = create_dump(stores, database(stores), vault(folder))
    assert create_dump(stores, database(stores), vault(folder)).new == 0
    write(stores, scope, 100, 9)
    second = create_dump(stores, database(stores), vault(folder))
    # One entry more: its batch and another log, and nothing of the segments.
    assert (second.new, second.removed) == (2, 0)
    assert second.objects == first.objects + 1
    vault(folder).objects.put("objects/leftover", b"of an interrupted run")
    later = replace(stores, system=replace(stores.system, now=lambda: System().now() + 3 * 24 * 3600))
    assert create_dump(later, database(stores), vault(folder)).removed == 2
    with opened(folder / "third") as third:
        load_dump(third, vault(folder), *PLACE)
        assert contents(third) == contents(stores)


def test_forks_share_what_they_share(stores: Stores, other: Stores, folder: Path) -> None:
    scope = fill(stores)
    before = create_dump(stores, database(stores), vault(folder)).objects
    Engine(stores).fork(scope, "forked")
    assert create_dump(stores, database(stores), vault(folder)).objects == before
    Engine(stores).delete_collection(*PLACE, "everything")
    create_dump(stores, database(stores), vault(folder))
    load_dump(other, vault(folder), *PLACE)
    assert sorted(contents(other)) == ["empty", "forked", "tail"]
    assert contents(other) == contents(stores)


def test_a_place_holds_one_database(stores: Stores, folder: Path) -> None:
    fill(stores)
    Catalog(stores.table, stores.system).create_database("default_tenant", "second")
    create_dump(stores, database(stores), vault(folder))
    with pytest.raises(AlreadyExists, match="copy holds a backup of database 'default_database'"):
        create_dump(stores, database(stores, "second"), vault(folder))


def test_what_is_no_copy(stores: Stores, folder: Path) -> None:
    with pytest.raises(NotFound, match=r"no finished backup of a database, there is no backup\.json"):
        load_dump(stores, vault(folder), *PLACE)
    with pytest.raises(NotFound, match="no such directory"):
        open_backup_target(str(folder / "nowhere"), Settings(), System(), create=False)
    assert not (folder / "nowhere").exists()


def test_the_list_is_readable_by_people(stores: Stores, folder: Path) -> None:
    fill(stores)
    create_dump(stores, database(stores), vault(folder))
    body = (folder / "copy" / "backup.json").read_bytes().splitlines()[0]
    value = orjson.loads(body)
    assert (value["tenant"], value["database"]) == PLACE
    assert [each["name"] for each in value["collections"]] == ["empty", "everything", "tail"]
    assert layout.read(vault(folder)).database == "default_database"
