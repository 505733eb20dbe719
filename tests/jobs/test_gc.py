"""Garbage collection removes unreferenced objects after the grace time, manifests before what they name."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from afterglow.catalog import keys
from afterglow.collection import Engine
from afterglow.jobs import gc
from afterglow.jobs.compact import compact
from afterglow.jobs.compaction_policy import Compaction, IndexKind
from afterglow.jobs.indexer import index
from afterglow.log import entry as entries
from afterglow.segment import manifest as manifests
from afterglow.storage.ports import ObjectInfo
from tests.jobs.environment import Environment
from tests.support.faulty import Crash, Fault, Faults, FaultyObjects, nth
from tests.support.stores import with_faults

DAY = 24 * 3600.0


def replaced_checkpoints(env: Environment) -> None:
    """Three flushes and a compaction, all but the last checkpoint past the grace time."""
    for number in range(3):
        env.write(*(f"{number}-{row}" for row in range(4)))
        env.flush()
    snapshot = env.replica().snapshot()
    compact(env.stores, snapshot, Compaction(snapshot.manifest.segments, None, index=IndexKind.NONE))
    env.wait_for_grace()


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
    state = env.state()
    assert state.manifest_key is not None
    segments = manifests.load(env.stores.objects, state.manifest_key).segments
    assert sorted(env.objects()) == sorted([state.manifest_key, *(file.key for s in segments for file in s.objects)])
    assert gc.collect_garbage(env.stores, env.id) == 0
    assert len(env.ids()) == 12


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
