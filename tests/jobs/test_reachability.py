"""The live objects of a collection: its checkpoint, the payloads of its log, and what its forks use."""

from dataclasses import replace
from uuid import uuid4

from afterglow.collection import Engine
from afterglow.jobs import reachability
from afterglow.log import entry as entries
from afterglow.segment import manifest as manifests
from tests.jobs.environment import Environment


def test_without_a_checkpoint_everything_in_the_log_is_live(env: Environment) -> None:
    env.write(*(f"{row}" for row in range(40)))
    live = reachability.live_objects(env.stores, env.state())
    assert (live.keys, live.oldest_seq, live.oldest_payload_time) == (frozenset(), 0, None)
    assert live.payload_keys == set(env.objects())


def test_a_checkpoint_with_all_that_it_names_is_live(env: Environment) -> None:
    env.write("a", "b")
    first = env.flush()
    env.write("c")
    env.flush()
    state = env.state()
    assert state.manifest_key is not None
    live = reachability.live_objects(env.stores, state)
    named = reachability.objects_of_manifest(env.stores.objects, state.manifest_key)
    assert state.manifest_key in named
    assert named <= live.keys
    assert {file.key for segment in first.segments for file in segment.objects} <= live.keys, "the segment is reused"
    log_time = manifests.parse_key(state.manifest_key).log_time
    assert live.oldest_payload_time == log_time + 1
    assert live.in_flight_since == log_time - entries.milliseconds(env.stores.settings.gc_grace_seconds)


def test_time_travel_retains_replaced_checkpoints(env: Environment) -> None:
    env.write("a")
    env.flush()
    replaced = env.state().manifest_key
    env.clock.skipped += 400
    env.write("b")
    env.flush()
    env.clock.skipped += 200
    for retention, retained in ((0.0, False), (500.0, True)):
        stores = replace(env.stores, settings=replace(env.stores.settings, retention_seconds=retention))
        assert (replaced in reachability.live_objects(stores, env.state()).keys) is retained


def test_forks_reference_objects_of_their_source(env: Environment) -> None:
    env.write("a", "b")
    env.flush()
    objects = [key for key in env.objects() if not key.startswith(manifests.prefix(env.id))]
    assert reachability.referenced_by_forks(env.stores, env.state(), objects) == set()
    Engine(env.stores).fork(env.scope, "forked")
    state = env.state()
    assert state.lineage_id is not None
    assert reachability.referenced_by_forks(env.stores, state, [*objects, "other"]) == set(objects)


def test_a_collection_without_relatives_asks_no_other(env: Environment) -> None:
    state = replace(env.state(), id=uuid4(), lineage_id=None)
    assert reachability.referenced_by_forks(env.stores, state, ["key"]) == set()
