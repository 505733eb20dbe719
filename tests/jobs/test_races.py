"""Indexers that meet, drops, and what is left of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import pytest

from afterglow.catalog import collections, keys
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica, Snapshot
from afterglow.collection.types import Scope, Selection
from afterglow.errors import AlreadyExists, NotFound
from afterglow.jobs import gc, purge
from afterglow.jobs.commit import CommitConflict
from afterglow.jobs.compact import compact
from afterglow.jobs.compaction_policy import Compaction, next_compaction
from afterglow.jobs.flush import flush
from afterglow.jobs.indexer import index
from afterglow.log import entry as entries
from afterglow.log import read
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores
from tests.support.faulty import Crash, Fault, Faults, nth
from tests.support.stores import Clock, made_faulty, new_collection, quick_folder, stores_at


@dataclass
class World:
    """One collection and its stores."""

    stores: Stores
    clock: Clock
    scope: Scope
    id: UUID

    def write(self, *names: str) -> None:
        vectors = np.arange(3 * len(names), dtype=np.float32).reshape(-1, 3)
        Engine(self.stores).write(self.scope, Batch(Op.UPSERT, list(names), vectors))

    def ids(self) -> list[str]:
        return Engine(self.stores).get(self.scope, Selection(), None, 0, frozenset()).ids

    def replica(self) -> Replica:
        return Replica.for_indexer(self.stores, self.id)

    def objects(self) -> list[str]:
        return [info.key for info in self.stores.objects.list("")]

    def wait_for_grace(self) -> None:
        self.clock.skipped += self.stores.settings.gc_grace_seconds + 1

    def wait_for_fences(self) -> None:
        self.clock.skipped += self.stores.settings.log_placeholder_ttl_seconds + 1


@pytest.fixture
def world() -> Iterator[World]:
    with quick_folder() as folder:
        clock = Clock()
        stores = stores_at(folder, clock=clock)
        scope, made = new_collection(stores)
        yield World(stores, clock, scope, made.id)
        stores.table.close()


def test_of_two_folds_of_one_checkpoint_one_wins(world: World) -> None:
    world.write("a", "b")
    one, other = world.replica().snapshot(), world.replica().snapshot()
    won = flush(world.stores, one)
    with pytest.raises(CommitConflict):
        flush(world.stores, other)
    assert world.ids() == ["a", "b"]
    assert world.replica().snapshot().manifest == won
    world.wait_for_grace()
    assert gc.collect_garbage(world.stores, world.id) == 4
    assert world.ids() == ["a", "b"]


def three_segments(world: World) -> tuple[Snapshot, Compaction]:
    """A view of a checkpoint of three, and the merge of them."""
    for number in range(3):
        world.write(*(f"{number}-{row}" for row in range(4)))
        flush(world.stores, world.replica().snapshot())
    view = world.replica().snapshot()
    merge = next_compaction(view.manifest, world.stores.settings, quiet=True)
    assert merge is not None
    assert len(merge.inputs) == 3
    return view, merge


def test_a_compaction_is_carried_over_folds(world: World) -> None:
    """A fold came in between, which adds a segment and lets rows of the inputs die."""
    late, merge = three_segments(world)
    world.write("new", "1-2")
    Engine(world.stores).delete(world.scope, Selection(["0-0", "2-3"]))
    flush(world.stores, world.replica().snapshot())
    before = world.ids()
    made = compact(world.stores, late, merge)
    assert made == world.replica().snapshot().manifest
    assert sorted(each.live_rows for each in made.segments) == [2, 9]
    assert world.ids() == before
    world.wait_for_grace()
    gc.collect_garbage(world.stores, world.id)
    assert world.ids() == before


def test_a_compaction_is_carried_over_a_fold_that_left_nothing_of_its_rows(world: World) -> None:
    late, merge = three_segments(world)
    Engine(world.stores).delete(world.scope, Selection([f"{number}-{row}" for number in range(3) for row in range(3)]))
    flush(world.stores, world.replica().snapshot())
    assert compact(world.stores, late, merge).records == 3
    assert world.ids() == ["0-3", "1-3", "2-3"]


def test_a_compaction_loses_against_another_of_the_same_segments(world: World) -> None:
    late, merge = three_segments(world)
    compact(world.stores, world.replica().snapshot(), merge)
    with pytest.raises(CommitConflict):
        compact(world.stores, late, merge)
    Engine(world.stores).delete(world.scope, Selection([f"1-{row}" for row in range(4)]))
    assert len(world.ids()) == 8


def test_a_compaction_loses_where_an_input_died_as_a_whole(world: World) -> None:
    late, merge = three_segments(world)
    Engine(world.stores).delete(world.scope, Selection([f"1-{row}" for row in range(4)]))
    flush(world.stores, world.replica().snapshot())
    with pytest.raises(CommitConflict):
        compact(world.stores, late, merge)
    assert len(world.ids()) == 8


def test_a_compaction_does_not_take_in_what_came_after_its_checkpoint(world: World) -> None:
    world.write(*(f"{row}" for row in range(20)))
    flush(world.stores, world.replica().snapshot())
    Engine(world.stores).delete(world.scope, Selection(["3", "4"]))
    world.write("5", "new")
    view = world.replica().snapshot()
    merge = next_compaction(view.manifest, world.stores.settings, quiet=True)
    assert merge is not None
    made = compact(world.stores, view, merge)
    assert (made.records, made.flushed_seq) == (20, 1)
    assert world.ids() == [*(f"{row}" for row in range(20) if row not in (3, 4)), "new"]


def test_an_index_run_that_loses_a_race_says_so_by_doing_nothing(world: World) -> None:
    world.write("a")
    other = world.stores

    class Late(Replica):
        def snapshot(self, ids: object = None) -> object:  # type: ignore[override]
            found = super().snapshot()
            if found.applied_seq > found.manifest.flushed_seq:
                flush(other, world.replica().snapshot())
            return found

    report = index(world.stores, Late.for_indexer(world.stores, world.id), world.id, idle=True)
    assert (report.flushed_ops, report.compactions) == (0, 0)
    assert world.ids() == ["a"]


def test_indexing_a_dropped_collection_is_no_error(world: World) -> None:
    world.write("a")
    Engine(world.stores).delete_collection("default_tenant", "default_database", "tested")
    report = index(world.stores, world.replica(), world.id, idle=True)
    assert report.flushed_ops == 0


def test_publishing_into_a_dropped_collection_is_refused(world: World) -> None:
    world.write("a")
    view = world.replica().snapshot()
    Engine(world.stores).delete_collection("default_tenant", "default_database", "tested")
    with pytest.raises(NotFound):
        flush(world.stores, view)


def test_a_fold_keeps_what_changed_beside_it(world: World) -> None:
    """The catalog's fields and the checkpoint are in one item: neither writer may undo the other."""
    world.write("a")
    view = world.replica().snapshot()
    engine = Engine(world.stores)
    engine.modify_collection(world.scope, "renamed", {"about": "it"})
    flush(world.stores, view)
    found = engine.get_collection("default_tenant", "default_database", "renamed")
    assert found.metadata == {"about": "it"}
    assert found.flushed_seq == 1


def test_space_comes_back_after_deletes(world: World) -> None:
    world.write(*(f"{row}" for row in range(2_000)))
    index(world.stores, world.replica(), world.id, idle=True)
    world.wait_for_grace()
    gc.collect_garbage(world.stores, world.id)
    before = sum(info.size for info in world.stores.objects.list(""))
    Engine(world.stores).delete(world.scope, Selection([f"{row}" for row in range(1_800)]))
    index(world.stores, world.replica(), world.id, idle=True)
    world.wait_for_grace()
    gc.collect_garbage(world.stores, world.id)
    assert sum(info.size for info in world.stores.objects.list("")) < 0.25 * before
    assert world.ids() == [f"{row}" for row in range(1_800, 2_000)]


def test_an_emptied_collection_has_no_segments(world: World) -> None:
    world.write("a", "b")
    index(world.stores, world.replica(), world.id, idle=True)
    Engine(world.stores).delete(world.scope, Selection(["a", "b"]))
    index(world.stores, world.replica(), world.id, idle=True)
    assert world.replica().snapshot().manifest.segments == ()
    world.write("c")
    index(world.stores, world.replica(), world.id, idle=True)
    assert world.ids() == ["c"]


def test_young_objects_are_no_garbage(world: World) -> None:
    world.stores.objects.put(f"{world.id}/segments/running/rows", b"a fold at work")
    assert gc.collect_garbage(world.stores, world.id) == 0
    world.wait_for_grace()
    assert gc.collect_garbage(world.stores, world.id) == 1


def test_nothing_of_a_dropped_collection_remains(world: World) -> None:
    world.write(*(f"{row}" for row in range(40)))
    index(world.stores, world.replica(), world.id, idle=True)
    world.write(*(f"{row}" for row in range(40)))
    Engine(world.stores).delete_collection("default_tenant", "default_database", "tested")
    purge.purge_dropped(world.stores)
    assert world.objects()
    world.wait_for_grace()
    purge.purge_dropped(world.stores)
    assert world.objects() == []
    last = read.last_entry(world.stores.table, world.id)
    assert last is not None
    assert last.kind is entries.EntryKind.SEAL
    world.wait_for_fences()
    purge.purge_dropped(world.stores)
    assert world.stores.table.query(keys.collection(world.id)) == []
    assert world.stores.table.query(keys.DELETIONS) == []


def test_a_janitor_that_comes_late_leaves_no_objects(world: World) -> None:
    world.write(*(f"{row}" for row in range(40)))
    Engine(world.stores).delete_collection("default_tenant", "default_database", "tested")
    world.wait_for_fences()
    purge.purge_dropped(world.stores)
    assert world.objects() == []
    assert world.stores.table.query(keys.DELETIONS) == []
    assert world.stores.table.query(keys.collection(world.id)) == []


def test_a_dropped_database_takes_its_collections_along(world: World) -> None:
    engine = Engine(world.stores)
    world.write("a")
    engine.delete_database("default_tenant", "default_database")
    assert collections.by_id(world.stores.table, world.id) is None
    with pytest.raises(NotFound):
        world.ids()


def run_until_it_works(world: World) -> None:
    for _ in range(3):
        world.wait_for_grace()
        purge.purge_dropped(world.stores)
    world.wait_for_fences()
    purge.purge_dropped(world.stores)
    purge.purge_dropped(world.stores)


@pytest.mark.parametrize("what", ["collection", "database"])
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_drop_that_died_is_finished_by_the_janitor(world: World, what: str, fault: Fault) -> None:
    number, died = 0, True
    while died:
        name, other = f"c{number}", f"d{number}"
        engine = Engine(world.stores)
        engine.catalog.create_database("default_tenant", other)
        scopes = []
        for each in (name, f"{name}-2"):
            made = engine.create_collection("default_tenant", other, each, None, schema_of(world))
            scopes.append(Scope("default_tenant", other, made.id))
            engine.write(scopes[-1], Batch(Op.ADD, [f"{row}" for row in range(30)], np.ones((30, 3), np.float32)))
        dying = Engine(made_faulty(world.stores, Faults(nth(number, fault))))
        died = False
        try:
            if what == "collection":
                dying.delete_collection("default_tenant", other, name)
            else:
                dying.delete_database("default_tenant", other)
        except Crash:
            died = True
        visible = engine.list_collections("default_tenant", other)
        for scope in scopes:
            if scope.collection not in {each.id for each in visible} and what == "collection":
                with pytest.raises(NotFound):
                    Engine(world.stores).write(scope, Batch(Op.ADD, ["x"], np.ones((1, 3), np.float32)))
        is_dropped = not any(each.name == name for each in visible)
        run_until_it_works(world)
        if is_dropped:
            assert collections.by_id(world.stores.table, scopes[0].collection) is None
            assert [*world.stores.objects.list(f"{scopes[0].collection}/")] == []
            assert world.stores.table.query(keys.collection(scopes[0].collection)) == []
        else:
            assert len(engine.get(scopes[0], Selection(), None, 0, frozenset()).ids) == 30
        number += 1
    assert number > 3
    assert world.stores.table.query(keys.DELETIONS) == []


def schema_of(world: World) -> dict[str, object]:
    found = collections.by_id(world.stores.table, world.id)
    assert found is not None
    return found.schema


def test_a_name_is_free_again_after_a_drop(world: World) -> None:
    engine = Engine(world.stores)
    with pytest.raises(AlreadyExists):
        engine.create_collection("default_tenant", "default_database", "tested", None, schema_of(world))
    engine.delete_collection("default_tenant", "default_database", "tested")
    made = engine.create_collection("default_tenant", "default_database", "tested", None, {"keys": {}})
    assert made.id != world.id
