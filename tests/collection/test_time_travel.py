"""Point-in-time snapshots: their records, the checkpoint they are based on, and their cache."""

from dataclasses import replace
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.catalog import Collection, collections
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.replica.snapshot import take_snapshot
from afterglow.collection.time_travel import point_in_time, snapshot_cache
from afterglow.collection.time_travel.point_in_time import PointInTime, ResolvedPoint
from afterglow.collection.time_travel.snapshot_cache import SnapshotCache
from afterglow.collection.types import Selection
from afterglow.errors import Busy, Corrupt, InvalidArgument
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.log.read import LogTrimmed
from afterglow.segment.manifest import ManifestRef
from afterglow.storage.ports import ObjectNotFound, Stores
from tests.support.model import EVERYTHING, Model, as_pairs, canonical
from tests.support.stores import WITH_RETENTION, ManualClock, new_collection, quick_folder, stores_at

NAMES = [f"r{number}" for number in range(40)]


def upsert(names: list[str], value: float) -> Batch:
    metadatas = [{"v": value} if number % 2 else None for number in range(len(names))]
    return Batch(
        Op.UPSERT, names, np.full((len(names), 2), value, np.float32), documents=names, metadatas=metadatas, uris=names
    )


batches = st.one_of(
    st.builds(
        upsert, st.lists(st.sampled_from(NAMES), min_size=1, max_size=30, unique=True), st.floats(0, 9, width=16)
    ),
    st.builds(lambda names: Batch(Op.DELETE, names), st.lists(st.sampled_from(NAMES), min_size=1, max_size=6)),
)


def indexed(stores: Stores, engine: Engine, scenario: list[Batch | None]) -> tuple[Engine, dict[int, Model]]:
    """Apply the batches (None: run the indexer); returns the model at each log position."""
    scope, collection = new_collection(stores)
    model, models_by_position = Model(), dict[int, Model]()
    for step in [upsert(NAMES, 1.0), *scenario, None]:
        if step is None:
            index(stores, Replica.for_indexer(stores, collection.id), collection.id, idle=True)
            continue
        model = model.after(step)
        if step.op is Op.DELETE:
            position = engine.delete(scope, Selection(step.ids)).position
        else:
            position = engine.write(scope, step)
        assert position is not None
        models_by_position[position] = model
    for position, then in models_by_position.items():
        result = engine.get(scope, Selection(), None, 0, EVERYTHING, at=PointInTime(position=position))
        assert canonical(as_pairs(result)) == canonical([*then.records.items()])
        assert result.position == position
        count = engine.count(scope, at=PointInTime(position=position))
        assert (count.count, count.position) == (len(then.records), position)
    return engine, models_by_position


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.lists(st.none() | batches, max_size=8))
def test_every_position_is_as_it_was(scenario: list[Batch | None]) -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, WITH_RETENTION)
        indexed(stores, Engine(stores), scenario)
        stores.table.close()


def test_a_recent_point_in_time_is_rebased_on_the_newest_checkpoint() -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, WITH_RETENTION)
        engine, _ = indexed(stores, Engine(stores), [upsert(["r3", "new"], 5.0), Batch(Op.DELETE, ["r4"])])
        (identity,) = engine.catalog.collections()
        collection = collections.by_id(stores.table, identity)
        assert collection is not None
        loaded = snapshot_cache.open_snapshot(stores, collection, PointInTime(position=1), {})
        groups = take_snapshot(loaded, collection, ["r3", "r4", "new"], 0.0).row_groups
        assert groups[0].graph is not None
        assert groups[-1].rows.rows == 2  # r3 and r4 as they were
        stores.table.close()


def test_a_point_in_time_is_not_rebased_if_most_records_were_rewritten_since() -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, WITH_RETENTION)
        engine, _ = indexed(stores, Engine(stores), [upsert(NAMES, 2.0)])
        (identity,) = engine.catalog.collections()
        collection = collections.by_id(stores.table, identity)
        assert collection is not None
        loaded = snapshot_cache.open_snapshot(stores, collection, PointInTime(position=1), {})
        assert all(group.graph is None for group in loaded.state.row_groups())
        stores.table.close()


@pytest.mark.parametrize("how", ["missing", "replaced", "trimmed"])
def test_a_checkpoint_that_cannot_be_opened(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that is missing is damage; one that is replaced each time is not: the read can be repeated."""
    resolve, opened = point_in_time.resolve, list[int]()

    def fail(*_: object) -> NoReturn:
        opened.append(len(opened))
        raise LogTrimmed if how == "trimmed" else ObjectNotFound("an object")

    def another(stores: Stores, collection: Collection, at: PointInTime) -> ResolvedPoint:
        found = resolve(stores, collection, at)
        if how != "replaced":
            return found
        return replace(found, base=ManifestRef(f"manifest {len(opened)}", len(opened), 1, 1, 0))

    with quick_folder() as folder:
        stores = stores_at(folder, WITH_RETENTION)
        scope, collection = new_collection(stores)
        Engine(stores).write(scope, Batch(Op.ADD, ["a"], np.ones((1, 3), np.float32)))
        monkeypatch.setattr(snapshot_cache, "open_checkpoint", fail)
        monkeypatch.setattr(point_in_time, "resolve", another)
        with pytest.raises(Corrupt if how == "missing" else Busy, match="log position 1"):
            snapshot_cache.open_snapshot(stores, collection, PointInTime(position=1), {})
        assert len(opened) == 5
        stores.table.close()


def test_a_time_outside_the_retention_window_is_refused_though_it_is_still_stored() -> None:
    with quick_folder() as folder:
        clock = ManualClock()
        stores = stores_at(folder, WITH_RETENTION, clock)
        scope, _ = new_collection(stores)
        engine = Engine(stores)
        engine.write(scope, upsert(["r"], 1.0))
        written = PointInTime(time=int(clock.now() * 1000))
        clock.sleep(WITH_RETENTION.retention_seconds)
        assert engine.count(scope, at=written).count == 1
        clock.sleep(1.0)
        with pytest.raises(InvalidArgument, match="outside the retention window"):
            engine.count(scope, at=written)
        stores.table.close()


def single_record_versions(stores: Stores, count: int) -> Collection:
    """A collection whose only record was written `count` times: positions 1 to `count`."""
    scope, collection = new_collection(stores)
    engine = Engine(stores)
    for number in range(count):
        engine.write(scope, upsert(["r"], float(number)))
    return collection


def cached_positions(cache: SnapshotCache, collection: Collection, count: int) -> set[int]:
    """The positions whose snapshot is in the cache; looking does not count as a use."""
    positions = range(1, count + 1)
    return {number for number in positions if cache.warm_rows(collection.id, PointInTime(position=number)) is not None}


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ([1, 2, 3, 4, 5], {2, 3, 4, 5}),
        ([1, 2, 3, 4, 1, 5], {1, 3, 4, 5}),  # neither the first opened nor the last opened is evicted
        ([1, 2, 3, 4, 2, 1, 5, 6], {1, 2, 5, 6}),
        ([1, 2, 3, 4, 3, 2, 1, 5, 1, 6, 7], {1, 5, 6, 7}),
    ],
)
def test_the_least_recently_used_snapshot_is_evicted_first(uses: list[int], expected: set[int]) -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, replace(WITH_RETENTION, flush_ops=100))
        collection = single_record_versions(stores, 7)
        cache = SnapshotCache(stores)
        for position in uses:
            assert cache.snapshot(collection, PointInTime(position=position), None, {}).applied_seq == position
        assert cached_positions(cache, collection, 7) == expected
        stores.table.close()


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 8), min_size=20, max_size=40))
def test_any_sequence_of_uses_leaves_the_most_recent_snapshots(uses: list[int]) -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, replace(WITH_RETENTION, flush_ops=100))
        collection = single_record_versions(stores, 8)
        cache = SnapshotCache(stores)
        for end, position in enumerate(uses, 1):
            cache.snapshot(collection, PointInTime(position=position), None, {})
            recent = list(dict.fromkeys(reversed(uses[:end])))[:4]
            assert cached_positions(cache, collection, 8) == set(recent)
        stores.table.close()


def test_snapshots_are_bounded_by_memtable_bytes_and_the_one_in_use_stays() -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, replace(WITH_RETENTION, max_memtable_bytes=1))
        scope, collection = new_collection(stores)
        engine = Engine(stores)
        for _ in range(8):
            engine.write(scope, upsert(NAMES, 1.0))
        cache = SnapshotCache(stores)
        for position in range(1, 8):
            assert cache.snapshot(collection, PointInTime(position=position), None, {}).applied_seq == position
            assert list(cache._snapshots) == [(collection.id, PointInTime(position=position))]
        stores.table.close()
