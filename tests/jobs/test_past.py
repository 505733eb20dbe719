"""The past is bounded in bytes, the oldest first, and what was dropped of it answers as what has expired."""

from dataclasses import replace

import pytest

from afterglow.catalog import lineage
from afterglow.collection import Engine
from afterglow.collection.time_travel.fork import ForkRequest, fork_resolved
from afterglow.collection.time_travel.point_in_time import PointInTime, ResolvedPoint, resolve
from afterglow.collection.types import Selection
from afterglow.errors import InvalidArgument
from afterglow.jobs import gc, past
from afterglow.jobs.reachability import objects_of_manifest
from afterglow.log import archive
from afterglow.segment import retention
from tests.jobs.environment import Environment
from tests.support.faulty import Crash, Fault, Faults, nth
from tests.support.stores import WITH_RETENTION, with_faults


@pytest.fixture
def history(env: Environment) -> Environment:
    """Time travel over a long window, and buckets of four operations, so that each flush is a durable checkpoint."""
    env.stores = replace(env.stores, settings=replace(WITH_RETENTION, retention_seconds=1e6))
    return env


@pytest.fixture(autouse=True)
def _small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_BUCKET_OPS", 4)


def rewrite(env: Environment, times: int, rows: int = 8) -> list[int]:
    """Overwrite the same records so many times, each a batch object and a flush; the position after each."""
    for _ in range(times):
        env.write(*(f"{row}" for row in range(rows)))
        env.flush()
    env.wait_for_grace()
    return list(range(env.state().flushed_seq - times + 1, env.state().flushed_seq + 1))


def limited(env: Environment, limit: int) -> None:
    env.stores = replace(env.stores, settings=replace(env.stores.settings, retention_bytes=limit))


def extent(env: Environment) -> past.Extent:
    found = past.extent_of(env.stores, env.id)
    assert found is not None
    return found


def readable(env: Environment, positions: list[int]) -> list[int]:
    found = []
    for position in positions:
        try:
            Engine(env.stores).get(env.scope, Selection(), None, 0, frozenset(), at=PointInTime(position=position))
        except InvalidArgument:
            continue
        found.append(position)
    return found


def test_the_past_takes_at_most_what_is_allowed_and_the_newest_stays(history: Environment) -> None:
    positions = rewrite(history, 8)
    gc.collect_garbage(history.stores, history.id)
    before = extent(history)
    assert before.past > 4 * before.present
    assert readable(history, positions) == positions
    limited(history, before.past // 2)
    assert gc.collect_garbage(history.stores, history.id) > 0
    after = extent(history)
    assert before.past // 4 < after.past <= before.past // 2
    remaining = readable(history, positions)
    assert remaining == positions[-len(remaining) :]
    assert 2 <= len(remaining) < 8
    assert history.state().past_start == remaining[0]
    assert len(history.ids()) == 8
    # Stable: more room brings nothing back, and nothing more is lost.
    limited(history, before.past)
    gc.collect_garbage(history.stores, history.id)
    assert readable(history, positions) == remaining


def test_a_present_larger_than_the_limit_allows_a_past_of_its_size(history: Environment) -> None:
    limited(history, 0)
    rewrite(history, 1, rows=200)
    rewrite(history, 4, rows=2)
    gc.collect_garbage(history.stores, history.id)
    found = extent(history)
    assert 0 < found.past <= found.present


def test_forgetting_leaves_the_present_alone(history: Environment) -> None:
    positions = rewrite(history, 3)
    past.forget(history.stores, history.id)
    gc.collect_garbage(history.stores, history.id)
    key = history.state().manifest_key
    assert key is not None
    assert set(history.objects()) == objects_of_manifest(history.stores.objects, key)
    assert extent(history).past == 0
    assert readable(history, positions) == positions[-1:]
    later = rewrite(history, 3)
    gc.collect_garbage(history.stores, history.id)
    assert readable(history, [*positions, *later]) == [positions[-1], *later]


def test_a_cached_view_of_a_dropped_past_is_not_read_again(history: Environment) -> None:
    positions = rewrite(history, 3)
    engine = Engine(history.stores)
    at = PointInTime(position=positions[0])
    assert len(engine.get(history.scope, Selection(), None, 0, frozenset(), at=at).ids) == 8
    past.forget(history.stores, history.id)
    with pytest.raises(InvalidArgument, match="outside the retention window"):
        engine.get(history.scope, Selection(), None, 0, frozenset(), at=at)


def test_a_fork_of_a_past_that_is_dropped_meanwhile_is_refused(history: Environment) -> None:
    positions = rewrite(history, 3)
    at = PointInTime(position=positions[0])
    database = Engine(history.stores).catalog.get_database(history.scope.tenant, history.scope.database)

    def slow() -> ResolvedPoint:
        found = resolve(history.stores, history.state(), at)
        past.forget(history.stores, history.id)
        gc.collect_garbage(history.stores, history.id)
        return found

    with pytest.raises(InvalidArgument, match="outside the retention window"):
        fork_resolved(history.stores, history.id, ForkRequest(database, "late"), slow)


def test_a_fork_keeps_what_its_source_forgets(history: Environment) -> None:
    positions = rewrite(history, 3)
    forked = Engine(history.stores).fork(history.scope, "fork", at=PointInTime(position=positions[0]))
    past.forget(history.stores, history.id)
    gc.collect_garbage(history.stores, history.id)
    scope = replace(history.scope, collection=forked.id)
    assert len(Engine(history.stores).get(scope, Selection(), None, 0, frozenset()).ids) == 8
    assert history.state().lineage_id is not None
    assert lineage.fork_count(history.stores.table, history.state().lineage_id) == 1


@pytest.mark.slow
def test_a_crash_at_any_call_leaves_a_bounded_past_to_the_next_run(history: Environment) -> None:
    number = 0
    while True:
        rewrite(history, 2)
        limited(history, 0)
        faults = Faults(nth(number, Fault.CRASH_AFTER))
        try:
            gc.collect_garbage(with_faults(history.stores, faults), history.id)
        except Crash:
            number += 1
        else:
            break
        gc.collect_garbage(history.stores, history.id)
        found = extent(history)
        assert found.past <= found.present, faults.calls[-1]
        assert len(history.ids()) == 8
        oldest = next(archive.list_archives(history.stores.objects, history.id), None)
        assert oldest is None or oldest.last > history.state().past_start, faults.calls[-1]
    assert number > 5
