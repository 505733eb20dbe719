"""A collection that cannot be opened takes no writes; `repair` keeps what is whole and names what is lost."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afterglow.catalog import keys
from afterglow.collection import Engine
from afterglow.collection.types import Scope, Selection
from afterglow.errors import Corrupt
from afterglow.jobs.every_collection import all_collections
from afterglow.jobs.repair import RepairPlan, plan_repair, repair
from afterglow.jobs.verify import verify
from afterglow.log import entry as entries
from afterglow.log.batch import Batch, Op
from afterglow.segment import manifest as manifests
from tests.jobs.environment import Environment
from tests.support.stores import SMALL, WITH_RETENTION, Clock, new_collection, quick_folder, stores_at

LARGE = "x" * 500
"""A document that makes its batch an object."""


@pytest.fixture(params=[SMALL, WITH_RETENTION], ids=["without history", "with history"])
def env(request: pytest.FixtureRequest) -> Iterator[Environment]:
    with quick_folder() as folder:
        clock = Clock()
        stores = stores_at(folder, request.param, clock=clock)
        scope, collection = new_collection(stores)
        yield Environment(stores, clock, scope, collection.id)
        stores.table.close()


def reopened(env: Environment) -> Engine:
    """A process that has nothing in memory."""
    return Engine(env.stores)


def add_large(env: Environment, name: str) -> str:
    """Write a record whose batch is an object; returns the object's key."""
    before = set(env.objects())
    Engine(env.stores).write(env.scope, Batch(Op.UPSERT, [name], np.ones((1, 3), dtype=np.float32), documents=[LARGE]))
    return max(key for key in set(env.objects()) - before if key.endswith(".batch"))


def plan(env: Environment) -> RepairPlan:
    (target,) = all_collections(env.stores)
    report = verify(env.stores, target)
    assert report is not None
    assert report.problems
    return plan_repair(env.stores, target)


def repaired_ids(env: Environment, planned: RepairPlan) -> list[str]:
    result = repair(env.stores, planned)
    (target,) = all_collections(env.stores)
    assert (target.name, target.collection) == ("tested", result.collection.id)
    report = verify(env.stores, target)
    assert report is not None
    assert (report.problems, report.past_problems) == ([], [])
    scope = Scope("default_tenant", "default_database", result.collection.id)
    ids = reopened(env).get(scope, Selection(), None, 0, frozenset()).ids
    assert len(ids) == result.records
    # It is a collection like any other.
    reopened(env).write(scope, Batch(Op.UPSERT, ["after it"], np.ones((1, 3), dtype=np.float32)))
    assert reopened(env).get(scope, Selection(), None, 0, frozenset()).ids == [*ids, "after it"]
    return ids


def assert_refused(env: Environment) -> None:
    """Nobody can read it, so nobody can write it, and nothing was written."""
    engine = reopened(env)
    before = env.stores.table.query(keys.collection(env.id))
    with pytest.raises(Corrupt):
        engine.get(env.scope, Selection(), None, 0, frozenset())
    for fresh in (engine, reopened(env)):
        with pytest.raises(Corrupt, match=r"collection \[tested\] is read-only until it is repaired .afterglow repair"):
            fresh.write(env.scope, Batch(Op.UPSERT, ["lost"], np.ones((1, 3), dtype=np.float32)))
        with pytest.raises(Corrupt, match="read-only"):
            fresh.delete(env.scope, Selection(["a"]))
    assert env.stores.table.query(keys.collection(env.id)) == before


def test_the_manifest_of_the_state_is_missing(env: Environment) -> None:
    """As in a copy whose table is newer than its objects."""
    env.write("a", "b")
    first = env.flush()
    env.write("c")
    env.flush()
    env.write("d")
    key = env.state().manifest_key
    assert key is not None
    env.stores.objects.delete(key)
    assert_refused(env)
    planned = plan(env)
    if env.stores.settings.retention_seconds:
        assert planned.losses == ()
        assert planned.base.flushed_seq == first.flushed_seq
        assert repaired_ids(env, planned) == ["a", "b", "c", "d"]
    else:
        # The entries of the last flush are still in the log.
        assert planned.position == 3
        assert repaired_ids(env, planned) == ["a", "b", "c", "d"]


def test_a_batch_of_the_log_is_missing(env: Environment) -> None:
    env.write("a")
    env.flush()
    env.write("b")
    key = add_large(env, "c")
    env.write("d", "e")
    env.stores.objects.delete(key)
    assert_refused(env)
    planned = plan(env)
    assert planned.position == 2
    assert planned.losses == ("log entries 3 to 4, about 3 operations",)
    assert repaired_ids(env, planned) == ["a", "b"]


def test_an_entry_of_the_log_is_damaged(env: Environment) -> None:
    env.write("a")
    env.write("b")
    env.write("c")
    env.stores.table.put(keys.collection(env.id), entries.key(2), b"?")
    with pytest.raises(Corrupt):
        reopened(env).write(env.scope, Batch(Op.UPSERT, ["lost"], np.ones((1, 3), dtype=np.float32)))
    planned = plan(env)
    assert planned.position == 1
    assert repaired_ids(env, planned) == ["a"]


def test_a_flipped_bit_in_a_segment_is_found_by_the_first_read(env: Environment, tmp_path: Path) -> None:
    env.write("a", "b")
    env.flush()
    env.write("c")
    flip(env, "vectors")
    engine = reopened(env)
    with pytest.raises(Corrupt, match="does not match its checksum"):
        engine.get(env.scope, Selection(), None, 0, frozenset())
    with pytest.raises(Corrupt, match="read-only"):
        engine.write(env.scope, Batch(Op.UPSERT, ["lost"], np.ones((1, 3), dtype=np.float32)))
    planned = plan(env)
    # Everything is in the log, too: that of the first flush was not trimmed yet.
    assert repaired_ids(env, planned) == ["a", "b", "c"]


def flip(env: Environment, role: str) -> None:
    state = env.state()
    assert state.manifest_key is not None
    manifest = manifests.load(env.stores.objects, state.manifest_key)
    key = next(file.key for segment in manifest.segments for file in segment.objects if role in file.key)
    path = env.stores.objects.local_path(key)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def test_a_repaired_file_takes_writes_again(env: Environment) -> None:
    env.write("a")
    env.flush()
    flip(env, "rows")
    engine = reopened(env)
    with pytest.raises(Corrupt):
        engine.get(env.scope, Selection(), None, 0, frozenset())
    flip(env, "rows")
    engine.write(env.scope, Batch(Op.UPSERT, ["b"], np.ones((1, 3), dtype=np.float32)))
    assert engine.get(env.scope, Selection(), None, 0, frozenset()).ids == ["a", "b"]


def test_without_history_the_intact_segments_and_the_log_are_saved(env: Environment) -> None:
    if env.stores.settings.retention_seconds:
        env.stores = replace(env.stores, settings=replace(env.stores.settings, retention_seconds=0.0))
    for name in ("a", "b", "c"):
        env.write(f"{name}1", f"{name}2")
        env.flush()
    env.write("d1")
    flip(env, "strings")
    env.stores.table.delete(keys.collection(env.id), entries.key(1))
    env.stores.table.delete(keys.collection(env.id), entries.key(2))
    env.wait_for_grace()
    delete_older_manifests(env)
    assert_refused_after_read(env)
    planned = plan(env)
    assert planned.losses == ("2 records or more, in segments that are damaged",)
    assert repaired_ids(env, planned) == ["b1", "b2", "c1", "c2", "d1"]


def delete_older_manifests(env: Environment) -> None:
    current = env.state().manifest_key
    for key in list(manifests.list_keys(env.stores.objects, env.id)):
        if key != current:
            env.stores.objects.delete(key)


def assert_refused_after_read(env: Environment) -> None:
    engine = reopened(env)
    with pytest.raises(Corrupt):
        engine.get(env.scope, Selection(), None, 0, frozenset())
    with pytest.raises(Corrupt, match="read-only"):
        engine.write(env.scope, Batch(Op.UPSERT, ["lost"], np.ones((1, 3), dtype=np.float32)))


def test_only_the_log_is_left(env: Environment) -> None:
    """The table without any object."""
    env.write("a")
    env.flush()
    env.write("b")
    env.flush()
    env.write("c")
    for key in env.objects():
        env.stores.objects.delete(key)
    assert_refused(env)
    planned = plan(env)
    assert planned.losses
    assert repaired_ids(env, planned) == ["c"]


def test_a_damaged_graph_is_left_out(env: Environment) -> None:
    names = [f"{number}" for number in range(20)]
    env.write(*names)
    from afterglow.jobs.indexer import index

    index(env.stores, env.replica(), env.id, idle=True)
    env.write("later")
    flip(env, "graph")
    env.stores.table.delete(keys.collection(env.id), entries.key(1))
    delete_older_manifests(env)
    assert_refused_after_read(env)
    planned = plan(env)
    assert planned.losses == ()
    assert repaired_ids(env, planned) == [*names, "later"]


def test_the_damaged_collection_can_still_be_restored(env: Environment) -> None:
    env.write("a")
    key = add_large(env, "b")
    payload = env.stores.objects.get(key)
    env.stores.objects.delete(key)
    repaired_ids(env, plan(env))
    env.stores.objects.put(key, payload)
    assert [item.sk for item in env.stores.table.query(keys.collection(env.id))][-1] == keys.STATE


@pytest.mark.parametrize("copied", ["objects first", "table first"])
def test_copies_of_a_directory_in_use(copied: str) -> None:
    """Whatever a copy by hand holds: no write is acknowledged that cannot be read, and it can be repaired."""
    with quick_folder() as folder, quick_folder() as other:
        stores = stores_at(folder, replace(SMALL, gc_grace_seconds=0.0))
        scope, collection = new_collection(stores)
        env = Environment(stores, Clock(), scope, collection.id)
        for name in ("a", "b", "c"):
            env.write(name)
            env.flush()
        if copied == "objects first":
            shutil.copytree(folder / "objects", other / "objects")
        else:
            stores.table.backup_to(other / "table.sqlite")  # type: ignore[attr-defined]
        from afterglow.jobs.indexer import index

        env.write(*"defghi")
        add_large(env, "large")
        index(stores, env.replica(), env.id, idle=True)
        add_large(env, "last")
        if copied == "objects first":
            stores.table.backup_to(other / "table.sqlite")  # type: ignore[attr-defined]
        else:
            shutil.copytree(folder / "objects", other / "objects")
        stores.table.close()
        copy = stores_at(other, SMALL)
        copied_env = Environment(copy, Clock(), scope, collection.id)
        assert_refused(copied_env)
        planned = plan(copied_env)
        assert repaired_ids(copied_env, planned)[:3] in (["a", "b", "c"], ["last"])
        copy.table.close()
