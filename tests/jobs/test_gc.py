"""Garbage collection removes unreferenced objects after the grace time, manifests before what they name."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from afterglow.catalog import keys
from afterglow.collection import Engine
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.jobs import gc
from afterglow.jobs.compact import compact
from afterglow.jobs.compaction_policy import Compaction
from afterglow.jobs.indexer import index
from afterglow.jobs.segment_limits import IndexKind
from afterglow.log import entry as entries
from afterglow.segment import manifest as manifests
from afterglow.storage.ports import ObjectInfo
from tests.jobs.environment import Environment
from tests.support.faulty import Crash, Fault, Faults, FaultyObjects, nth
from tests.support.stores import with_faults

DAY = 24 * 3600.0


def compacted(env: Environment, index: IndexKind) -> Snapshot:
    """Compact all segments; the snapshot of before."""
    snapshot = env.replica().snapshot()
    compact(env.stores, snapshot, Compaction(snapshot.manifest.segments, None, index=index))
    return snapshot


def flushed_thrice(env: Environment) -> None:
    """Three segments of four rows."""
    for number in range(3):
        env.write(*(f"{number}-{row}" for row in range(4)))
        env.flush()


def replaced_checkpoints(env: Environment) -> None:
    """Three flushes and a compaction, all but the last checkpoint past the grace time."""
    flushed_thrice(env)
    compacted(env, IndexKind.NONE)
    env.wait_for_grace()


def current_objects(env: Environment) -> list[str]:
    """The keys of the current manifest and of what it names."""
    state = env.state()
    assert state.manifest_key is not None
    segments = manifests.load(env.stores.objects, state.manifest_key).segments
    return sorted([state.manifest_key, *(file.key for segment in segments for file in segment.objects)])


def missing_objects(env: Environment) -> list[str]:
    """The keys that a stored manifest names and that no object has."""
    stored = set(env.objects())
    listed = [info.key for info in env.stores.objects.list(manifests.prefix(env.id))]
    named = {
        file.key
        for key in listed
        for segment in manifests.load(env.stores.objects, key).segments
        for file in segment.objects
    }
    return sorted(named - stored)


def test_only_the_current_checkpoint_remains(env: Environment) -> None:
    replaced_checkpoints(env)
    assert gc.collect_garbage(env.stores, env.id) > 4
    assert sorted(env.objects()) == current_objects(env)
    assert gc.collect_garbage(env.stores, env.id) == 0
    assert len(env.ids()) == 12


def test_in_a_directory_replaced_segments_without_lists_go_at_once(env: Environment) -> None:
    flushed_thrice(env)
    env.delete("0-0")
    env.flush()
    opened = compacted(env, IndexKind.GRAPH)
    assert gc.collect_garbage(env.stores, env.id) > 4
    assert sorted(env.objects()) == current_objects(env)
    assert [len(group.rows.ids) for group in opened.row_groups] == [4, 4, 4], "an open reader has all of them mapped"
    assert np.vstack([group.rows.vectors for group in opened.row_groups]).sum() == 3 * np.arange(12).sum()
    assert len(env.ids()) == 11


def test_replaced_segments_with_lists_stay_for_the_grace_time(env: Environment) -> None:
    """A reader opens some of their files only when it needs them."""
    flushed_thrice(env)
    opened = compacted(env, IndexKind.LISTS)
    gc.collect_garbage(env.stores, env.id)
    lists = {file.key for segment in env.replica().snapshot().manifest.segments for file in segment.objects}
    compacted(env, IndexKind.NONE)
    gc.collect_garbage(env.stores, env.id)
    stored = set(env.objects())
    assert lists < stored
    assert not {file.key for segment in opened.manifest.segments for file in segment.objects} & stored
    env.wait_for_grace()
    gc.collect_garbage(env.stores, env.id)
    assert sorted(env.objects()) == current_objects(env)


def test_in_an_account_replaced_segments_stay_for_the_grace_time(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its readers download files, and nothing excludes jobs that need them."""
    account = with_faults(env.stores, Faults())
    monkeypatch.setattr(account.table, "has_cheap_transactions", False)
    flushed_thrice(env)
    replaced = {file.key for segment in compacted(env, IndexKind.NONE).manifest.segments for file in segment.objects}
    gc.collect_garbage(account, env.id)
    assert replaced < set(env.objects())
    env.wait_for_grace()
    gc.collect_garbage(account, env.id)
    assert not replaced & set(env.objects())


def test_nothing_is_deleted_while_collection_is_disabled(env: Environment) -> None:
    replaced_checkpoints(env)
    before = env.objects()
    disabled = replace(env.stores, settings=replace(env.stores.settings, garbage_collection=False))
    assert gc.collect_garbage(disabled, env.id) == 0
    assert env.objects() == before
    assert gc.collect_garbage(env.stores, env.id) > 4


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_stored_manifest_names_no_missing_object_after_a_crash(env: Environment, fault: Fault) -> None:
    """The docstring of `jobs.gc`: manifests are deleted before segments, so that a stored one is complete."""
    crashes, number = 0, 0
    while True:
        replaced_checkpoints(env)
        faults = Faults(nth(number, fault))
        try:
            collected = gc.collect_garbage(with_faults(env.stores, faults), env.id)
        except Crash:
            crashes += faults.calls[-1].startswith("objects.delete")
            assert missing_objects(env) == [], faults.calls[-1]
            gc.collect_garbage(env.stores, env.id)
            assert sorted(env.objects()) == current_objects(env)
            number += 1
            continue
        assert collected
        break
    assert crashes == 2, "at the deletion of manifests and at that of segments"
    assert missing_objects(env) == []


def test_batches_in_the_log_are_live(env: Environment) -> None:
    env.write(*(f"{row}" for row in range(40)))
    (batch,) = env.objects()
    assert batch.startswith(entries.payload_prefix(env.id))
    env.wait_for_grace()
    assert gc.collect_garbage(env.stores, env.id) == 0
    assert env.objects() == [batch]


@pytest.mark.parametrize("clock", [-8 * DAY, 0.0, 8 * DAY])
def test_a_batch_without_an_entry_is_deleted_when_the_log_has_passed_it(env: Environment, clock: float) -> None:
    """Whatever the clock of the collector: it may be that of a write in flight, which the log's time decides."""
    collector = replace(env.stores, system=replace(env.stores.system, now=lambda: env.clock.now() + clock))
    env.write("a")
    env.flush()
    key = entries.payload_key(env.id, entries.milliseconds(env.clock.now()), "0" * 24)
    env.stores.objects.put(key, b"the entry was never appended")
    env.wait_for_grace()
    gc.collect_garbage(collector, env.id)
    assert key in env.objects()
    env.write("b")
    env.flush()
    gc.collect_garbage(collector, env.id)
    assert key not in env.objects()


def test_batches_of_flushed_entries_are_deleted_at_once(env: Environment) -> None:
    """Their placeholders name them, and go with them."""
    env.write(*(f"{row}" for row in range(40)))
    index(env.stores, env.replica(), env.id, idle=True)
    assert [key for key in env.objects() if key.startswith(entries.payload_prefix(env.id))] == []
    assert env.stores.table.query(keys.collection(env.id), after=entries.BEFORE_ALL, before=entries.AFTER_ALL) == []


def test_in_an_account_no_clock_of_a_collector_makes_a_segment_old(env: Environment) -> None:
    """The store's clock tells the age of an object."""

    class StoreWithClock(FaultyObjects):
        def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
            return (replace(info, age=1.0) for info in super().list(prefix, after=after))

    env.write("a")
    env.flush()
    env.stores.objects.put(f"{env.id}/segments/running/rows", b"a flush in progress")
    ahead = replace(env.stores.system, now=lambda: env.clock.now() + 8 * DAY)
    account = replace(env.stores, objects=StoreWithClock(env.stores.objects, Faults()), system=ahead)
    assert gc.collect_garbage(account, env.id) == 0


def test_a_manifest_that_is_written_during_a_collection_stays(env: Environment) -> None:
    """Nothing excludes an indexer in an account: it may write a manifest after the collector listed them."""
    env.write("a")
    env.flush()
    env.write("b")
    written: list[str] = []

    def fault(_: int, name: str) -> None:
        if name.startswith("table.query") and not written:
            env.flush()
            written.append(env.state().manifest_key or "")

    gc.collect_garbage(with_faults(env.stores, Faults(fault)), env.id)
    assert written
    assert written[0] in env.objects()
    assert env.ids() == ["a", "b"]


def test_a_missing_collection_has_no_garbage(env: Environment) -> None:
    env.write("a")
    env.stores.objects.put(f"{env.id}/segments/orphan/rows", b"data")
    env.wait_for_grace()
    Engine(env.stores).delete_collection("default_tenant", "default_database", "tested")
    assert gc.collect_garbage(env.stores, env.id) == 0
