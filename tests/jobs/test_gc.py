"""Garbage collection removes unreferenced objects after the grace time, manifests before what they name."""

import pytest

from afterglow.collection import Engine
from afterglow.jobs import gc
from afterglow.jobs.compact import compact
from afterglow.jobs.compaction_policy import Compaction, IndexKind
from afterglow.log import entry as entries
from afterglow.segment import manifest as manifests
from tests.jobs.environment import Environment
from tests.support.faulty import Crash, Fault, Faults, nth
from tests.support.stores import with_faults


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


def test_a_batch_without_an_entry_is_deleted_after_the_grace_time(env: Environment) -> None:
    env.write("a")
    env.flush()
    key = entries.payload_key(env.id, entries.milliseconds(env.clock.now()), "0" * 24)
    env.stores.objects.put(key, b"the entry was never appended")
    assert gc.collect_garbage(env.stores, env.id) == 0
    env.wait_for_grace()
    assert gc.collect_garbage(env.stores, env.id) == 1
    assert key not in env.objects()


def test_a_missing_collection_has_no_garbage(env: Environment) -> None:
    env.write("a")
    env.stores.objects.put(f"{env.id}/segments/orphan/rows", b"data")
    env.wait_for_grace()
    Engine(env.stores).delete_collection("default_tenant", "default_database", "tested")
    assert gc.collect_garbage(env.stores, env.id) == 0
