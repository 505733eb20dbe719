"""Indexers that meet, drops, and what is left of them."""

import numpy as np
import pytest

from afterglow.catalog import collections, keys
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.replica.snapshot import Snapshot
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
from tests.jobs.environment import Environment
from tests.support.faulty import Crash, Fault, Faults, nth
from tests.support.stores import with_faults


def test_of_two_flushes_of_one_checkpoint_one_wins(env: Environment) -> None:
    env.write("a", "b")
    one, other = env.replica().snapshot(), env.replica().snapshot()
    won = flush(env.stores, one)
    with pytest.raises(CommitConflict):
        flush(env.stores, other)
    assert env.ids() == ["a", "b"]
    assert env.replica().snapshot().manifest == won
    env.wait_for_grace()
    assert gc.collect_garbage(env.stores, env.id) == 4
    assert env.ids() == ["a", "b"]


def three_segments(env: Environment) -> tuple[Snapshot, Compaction]:
    """A snapshot of a checkpoint with three segments, and their compaction."""
    for number in range(3):
        env.write(*(f"{number}-{row}" for row in range(4)))
        flush(env.stores, env.replica().snapshot())
    snapshot = env.replica().snapshot()
    compaction = next_compaction(snapshot.manifest, env.stores.settings, idle=True)
    assert compaction is not None
    assert len(compaction.inputs) == 3
    return snapshot, compaction


def test_a_compaction_is_rebased_onto_flushes(env: Environment) -> None:
    """A flush in between adds a segment and deletes rows of the inputs."""
    late, compaction = three_segments(env)
    env.write("new", "1-2")
    Engine(env.stores).delete(env.scope, Selection(["0-0", "2-3"]))
    flush(env.stores, env.replica().snapshot())
    before = env.ids()
    created = compact(env.stores, late, compaction)
    assert created == env.replica().snapshot().manifest
    assert sorted(segment.live_rows for segment in created.segments) == [2, 9]
    assert env.ids() == before
    env.wait_for_grace()
    gc.collect_garbage(env.stores, env.id)
    assert env.ids() == before


def test_a_compaction_is_rebased_onto_a_flush_that_deleted_most_of_its_rows(env: Environment) -> None:
    late, compaction = three_segments(env)
    Engine(env.stores).delete(env.scope, Selection([f"{number}-{row}" for number in range(3) for row in range(3)]))
    flush(env.stores, env.replica().snapshot())
    assert compact(env.stores, late, compaction).records == 3
    assert env.ids() == ["0-3", "1-3", "2-3"]


def test_a_compaction_loses_against_another_of_the_same_segments(env: Environment) -> None:
    late, compaction = three_segments(env)
    compact(env.stores, env.replica().snapshot(), compaction)
    with pytest.raises(CommitConflict):
        compact(env.stores, late, compaction)
    Engine(env.stores).delete(env.scope, Selection([f"1-{row}" for row in range(4)]))
    assert len(env.ids()) == 8


def test_a_compaction_loses_if_all_rows_of_an_input_were_deleted(env: Environment) -> None:
    late, compaction = three_segments(env)
    Engine(env.stores).delete(env.scope, Selection([f"1-{row}" for row in range(4)]))
    flush(env.stores, env.replica().snapshot())
    with pytest.raises(CommitConflict):
        compact(env.stores, late, compaction)
    assert len(env.ids()) == 8


def test_a_compaction_ignores_what_came_after_its_checkpoint(env: Environment) -> None:
    env.write(*(f"{row}" for row in range(20)))
    flush(env.stores, env.replica().snapshot())
    Engine(env.stores).delete(env.scope, Selection(["3", "4"]))
    env.write("5", "new")
    snapshot = env.replica().snapshot()
    compaction = next_compaction(snapshot.manifest, env.stores.settings, idle=True)
    assert compaction is not None
    created = compact(env.stores, snapshot, compaction)
    assert (created.records, created.flushed_seq) == (20, 1)
    assert env.ids() == [*(f"{row}" for row in range(20) if row not in (3, 4)), "new"]


def test_an_index_run_that_loses_a_race_reports_no_work(env: Environment) -> None:
    env.write("a")
    other = env.stores

    class Late(Replica):
        def snapshot(self, ids: object = None) -> object:  # type: ignore[override]
            found = super().snapshot()
            if found.applied_seq > found.manifest.flushed_seq:
                flush(other, env.replica().snapshot())
            return found

    report = index(env.stores, Late.for_indexer(env.stores, env.id), env.id, idle=True)
    assert (report.flushed_ops, report.compactions) == (0, 0)
    assert env.ids() == ["a"]


def test_indexing_a_dropped_collection_is_no_error(env: Environment) -> None:
    env.write("a")
    Engine(env.stores).delete_collection("default_tenant", "default_database", "tested")
    report = index(env.stores, env.replica(), env.id, idle=True)
    assert report.flushed_ops == 0


def test_committing_into_a_dropped_collection_is_refused(env: Environment) -> None:
    env.write("a")
    snapshot = env.replica().snapshot()
    Engine(env.stores).delete_collection("default_tenant", "default_database", "tested")
    with pytest.raises(NotFound):
        flush(env.stores, snapshot)


def test_a_flush_preserves_concurrent_changes_of_the_state(env: Environment) -> None:
    """The catalog's fields and the checkpoint are in one item: neither writer may undo the other."""
    env.write("a")
    snapshot = env.replica().snapshot()
    engine = Engine(env.stores)
    engine.modify_collection(env.scope, "renamed", {"about": "it"})
    flush(env.stores, snapshot)
    found = engine.get_collection("default_tenant", "default_database", "renamed")
    assert found.metadata == {"about": "it"}
    assert found.flushed_seq == 1


def test_space_comes_back_after_deletes(env: Environment) -> None:
    env.write(*(f"{row}" for row in range(2_000)))
    index(env.stores, env.replica(), env.id, idle=True)
    env.wait_for_grace()
    gc.collect_garbage(env.stores, env.id)
    before = sum(info.size for info in env.stores.objects.list(""))
    Engine(env.stores).delete(env.scope, Selection([f"{row}" for row in range(1_800)]))
    index(env.stores, env.replica(), env.id, idle=True)
    env.wait_for_grace()
    gc.collect_garbage(env.stores, env.id)
    assert sum(info.size for info in env.stores.objects.list("")) < 0.25 * before
    assert env.ids() == [f"{row}" for row in range(1_800, 2_000)]


def test_an_emptied_collection_has_no_segments(env: Environment) -> None:
    env.write("a", "b")
    index(env.stores, env.replica(), env.id, idle=True)
    Engine(env.stores).delete(env.scope, Selection(["a", "b"]))
    index(env.stores, env.replica(), env.id, idle=True)
    assert env.replica().snapshot().manifest.segments == ()
    env.write("c")
    index(env.stores, env.replica(), env.id, idle=True)
    assert env.ids() == ["c"]


def test_young_objects_are_no_garbage(env: Environment) -> None:
    env.stores.objects.put(f"{env.id}/segments/running/rows", b"a flush in progress")
    assert gc.collect_garbage(env.stores, env.id) == 0
    env.wait_for_grace()
    assert gc.collect_garbage(env.stores, env.id) == 1


def test_nothing_of_a_dropped_collection_remains(env: Environment) -> None:
    env.write(*(f"{row}" for row in range(40)))
    index(env.stores, env.replica(), env.id, idle=True)
    env.write(*(f"{row}" for row in range(40)))
    Engine(env.stores).delete_collection("default_tenant", "default_database", "tested")
    purge.purge_dropped(env.stores)
    assert env.objects()
    env.wait_for_grace()
    purge.purge_dropped(env.stores)
    assert env.objects() == []
    last = read.last_entry(env.stores.table, env.id)
    assert last is not None
    assert last.kind is entries.EntryKind.SEAL
    env.wait_for_placeholders()
    purge.purge_dropped(env.stores)
    assert env.stores.table.query(keys.collection(env.id)) == []
    assert env.stores.table.query(keys.DELETIONS) == []


def test_a_late_purge_leaves_no_objects(env: Environment) -> None:
    env.write(*(f"{row}" for row in range(40)))
    Engine(env.stores).delete_collection("default_tenant", "default_database", "tested")
    env.wait_for_placeholders()
    purge.purge_dropped(env.stores)
    assert env.objects() == []
    assert env.stores.table.query(keys.DELETIONS) == []
    assert env.stores.table.query(keys.collection(env.id)) == []


def test_a_dropped_database_takes_its_collections_along(env: Environment) -> None:
    engine = Engine(env.stores)
    env.write("a")
    engine.delete_database("default_tenant", "default_database")
    assert collections.by_id(env.stores.table, env.id) is None
    with pytest.raises(NotFound):
        env.ids()


def run_until_it_works(env: Environment) -> None:
    for _ in range(3):
        env.wait_for_grace()
        purge.purge_dropped(env.stores)
    env.wait_for_placeholders()
    purge.purge_dropped(env.stores)
    purge.purge_dropped(env.stores)


@pytest.mark.parametrize("what", ["collection", "database"])
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_drop_that_died_is_finished_by_the_maintenance_job(env: Environment, what: str, fault: Fault) -> None:
    number, died = 0, True
    while died:
        name, other = f"c{number}", f"d{number}"
        engine = Engine(env.stores)
        engine.catalog.create_database("default_tenant", other)
        scopes = []
        for new_name in (name, f"{name}-2"):
            created = engine.create_collection("default_tenant", other, new_name, None, schema_of(env))
            scopes.append(Scope("default_tenant", other, created.id))
            engine.write(scopes[-1], Batch(Op.ADD, [f"{row}" for row in range(30)], np.ones((30, 3), np.float32)))
        dying = Engine(with_faults(env.stores, Faults(nth(number, fault))))
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
            if scope.collection not in {collection.id for collection in visible} and what == "collection":
                with pytest.raises(NotFound):
                    Engine(env.stores).write(scope, Batch(Op.ADD, ["x"], np.ones((1, 3), np.float32)))
        is_dropped = not any(collection.name == name for collection in visible)
        run_until_it_works(env)
        if is_dropped:
            assert collections.by_id(env.stores.table, scopes[0].collection) is None
            assert [*env.stores.objects.list(f"{scopes[0].collection}/")] == []
            assert env.stores.table.query(keys.collection(scopes[0].collection)) == []
        else:
            assert len(engine.get(scopes[0], Selection(), None, 0, frozenset()).ids) == 30
        number += 1
    assert number > 3
    assert env.stores.table.query(keys.DELETIONS) == []


def schema_of(env: Environment) -> dict[str, object]:
    found = collections.by_id(env.stores.table, env.id)
    assert found is not None
    return found.schema


def test_a_name_is_free_again_after_a_drop(env: Environment) -> None:
    engine = Engine(env.stores)
    with pytest.raises(AlreadyExists):
        engine.create_collection("default_tenant", "default_database", "tested", None, schema_of(env))
    engine.delete_collection("default_tenant", "default_database", "tested")
    created = engine.create_collection("default_tenant", "default_database", "tested", None, {"keys": {}})
    assert created.id != env.id
