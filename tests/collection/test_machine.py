"""Random programmes of writes, reads and background work on two engines over one directory, against a plain dict.

Engine 0 takes newer checkpoints within its reads; engine 1 in the background, that is when the machine says so.
"""

import random
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from afterglow.collection import Engine
from afterglow.collection.read import rows
from afterglow.collection.read.read_path import ReadLimits
from afterglow.collection.read.read_path import get as get_from
from afterglow.collection.read.sparse_knn import SparseQuery, sparse_knn
from afterglow.collection.replica.replica import Replica
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Include, ReadLevel, Selection
from afterglow.filters.parse import parse_where
from afterglow.jobs import gc
from afterglow.jobs.flush import flush
from afterglow.jobs.indexer import index
from afterglow.log import trim
from afterglow.log.batch import Batch, Op
from tests.filters.reference import holds
from tests.support.batches import DIMENSION, IDS, batches, ids, sparse_queries, vectors
from tests.support.distances import reference_distance
from tests.support.model import EVERYTHING, Model, Record, as_pairs, by_sparse_vector, canonical
from tests.support.stores import Clock, new_collection, quick_folder, stores_at

WRITES = (Op.ADD, Op.UPDATE, Op.UPSERT)

WHERES: list[dict[str, Any]] = [
    {"a": 1},
    {"a": {"$ne": "x"}},
    {"b": {"$gte": 0.5}},
    {"c": {"$contains": 1}},
    {"$or": [{"a": True}, {"b": {"$in": ["x", "y"]}}]},
    {"$and": [{"a": {"$nin": [0, 1]}}, {"#document": {"$contains": "a"}}]},
    {"#document": {"$not_contains": "e"}},
]
wheres = st.none() | st.sampled_from(WHERES)
some_ids = st.none() | st.lists(ids, max_size=4)


class Later(Executor):
    """Runs what was submitted when told to."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self._waiting.append(lambda: fn(*args, **kwargs))
        return Future()

    def run(self) -> None:
        while self._waiting:
            self._waiting.pop(0)()


class Machine(RuleBasedStateMachine):
    """The engines and the model."""

    def __init__(self) -> None:
        super().__init__()
        self._exit = ExitStack()
        self.model = Model()
        self.snapshots: list[tuple[Snapshot, str]] = []

    @initialize(space=st.sampled_from(["l2", "ip", "cosine"]), bm25=st.booleans())
    def begin(self, space: str, bm25: bool) -> None:
        folder = self._exit.enter_context(quick_folder())
        self.clock, self.later, self.space, self.bm25 = Clock(), Later(), space, bm25
        self.stores = stores_at(folder, clock=self.clock)
        self._exit.callback(self.stores.table.close)
        self.scope, collection = new_collection(self.stores, space=space, sparse={"b": bm25})
        self.id = collection.id
        self.indexer = Replica.for_indexer(self.stores, self.id)
        self.engines = [Engine(self.stores), Engine(self.stores, self.later)]

    def teardown(self) -> None:
        self._exit.close()

    # writes

    @rule(at=st.integers(0, 1), batch=batches(WRITES))
    def write(self, at: int, batch: Batch) -> None:
        self.write_all(at, batch)

    @rule(at=st.integers(0, 1), count=st.integers(5, 20), seed=st.integers(0, 99))
    def load(self, at: int, count: int, seed: int) -> None:
        """Enough records at once for graphs and for payloads outside of the table."""
        source = np.random.default_rng(seed)
        names = [f"bulk {seed} {number}" for number in range(count)]
        brought = (source.integers(-16, 17, (count, DIMENSION)) / 8).astype(np.float32)
        sparse = {"#type": "sparse_vector", "indices": [1, seed + 2], "values": [0.5, seed / 8]}
        metadatas = [
            {"a": number % 3, "b": sparse if number % 3 else "x"} if number % 2 else None for number in range(count)
        ]
        self.write_all(at, Batch(Op.UPSERT, names, brought, metadatas=metadatas))

    def write_all(self, at: int, batch: Batch) -> None:
        self.engines[at].write(self.scope, batch)
        self.model.apply(batch)

    @rule(at=st.integers(0, 1), names=st.lists(ids, min_size=1, max_size=5))
    def delete(self, at: int, names: list[str]) -> None:
        assert self.engines[at].delete(self.scope, Selection(names)).count == len(names)
        self.model.apply(Batch(Op.DELETE, names))

    @rule(at=st.integers(0, 1), names=some_ids, where=st.sampled_from(WHERES), limit=st.none() | st.integers(0, 3))
    def delete_where(self, at: int, names: list[str] | None, where: dict[str, Any], limit: int | None) -> None:
        selection = Selection(names, parse_where(where))
        matching = self.chosen(names, where)[:limit]
        assert self.engines[at].delete(self.scope, selection, limit).count == len(matching)
        if matching:
            self.model.apply(Batch(Op.DELETE, matching))

    # reads

    @rule(
        at=st.integers(0, 1),
        names=some_ids,
        where=wheres,
        offset=st.integers(0, 4),
        limit=st.none() | st.integers(0, 5),
    )
    def get(self, at: int, names: list[str] | None, where: Any, offset: int, limit: int | None) -> None:
        found = self.engines[at].get(self.scope, Selection(names, parse_where(where)), limit, offset, EVERYTHING)
        end = None if limit is None else offset + limit
        expected_rows = self.chosen(names, where)[offset:end]
        assert canonical(as_pairs(found)) == canonical([(name, self.model.records[name]) for name in expected_rows])

    @rule(at=st.integers(0, 1), names=some_ids, where=wheres, k=st.integers(0, 12), query=vectors)
    def query(self, at: int, names: list[str] | None, where: Any, k: int, query: list[float]) -> None:
        asked = np.array([query], dtype=np.float32)
        selection = Selection(names, parse_where(where))
        include = frozenset({Include.DISTANCES})
        (hits,) = self.engines[at].query(self.scope, asked, k, selection, include)
        allowed = {
            name: reference_distance(self.space, asked[0], self.model.records[name].vector)
            for name in self.chosen(names, where)
        }
        assert len(set(hits.records.ids)) == len(hits.records.ids) == min(k, len(allowed))
        np.testing.assert_allclose(hits.distances, sorted(allowed.values())[:k], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(hits.distances, [allowed[name] for name in hits.records.ids], rtol=1e-6, atol=1e-6)

    @rule(where=wheres, k=st.integers(0, 12), query=sparse_queries)
    def sparse(self, where: Any, k: int, query: dict[int, float]) -> None:
        indices = np.array(sorted(query), dtype=np.uint32)
        asked = SparseQuery(indices, np.array([query[index] for index in sorted(query)], dtype=np.float32))
        view = Replica(self.stores, self.id).snapshot()
        chosen = rows.selection_masks(view, Selection(where=parse_where(where)))
        found = sparse_knn(view, chosen, "b", asked, k)
        names = rows.materialize(view, found.groups, found.rows, frozenset()).ids
        expected_rows = by_sparse_vector(self.model, "b", query, self.chosen(None, where), bm25=self.bm25)[:k]
        np.testing.assert_allclose(found.distances, [distance for _, distance in expected_rows], rtol=2e-7)
        if not self.bm25:  # sums of eighths are exact, so that ties are
            assert names == [name for name, _ in expected_rows]

    @rule(at=st.integers(0, 1))
    def count(self, at: int) -> None:
        assert self.engines[at].count(self.scope).count == len(self.model.records)
        assert self.engines[at].count(self.scope, ReadLevel.INDEX_ONLY).count >= 0
        status = self.engines[at].indexing_status(self.scope)
        assert status.total_ops == self.model.ops
        assert 0 <= status.indexed_ops <= status.total_ops

    @rule()
    def snapshot(self) -> None:
        """A view, which must say the same for ever."""
        view = Replica.for_indexer(self.stores, self.id).snapshot()
        self.snapshots.append((view, self.all_of(view)))

    @invariant()
    def snapshots_do_not_change(self) -> None:
        for view, before in self.snapshots[-3:]:
            assert self.all_of(view) == before

    # the background

    @rule(quiet=st.booleans())
    def index(self, quiet: bool) -> None:
        index(self.stores, self.indexer, self.id, idle=quiet)

    @rule()
    def flush(self) -> None:
        flush(self.stores, Replica.for_indexer(self.stores, self.id).snapshot())

    @rule()
    def trim_all(self) -> None:
        manifest = Replica.for_indexer(self.stores, self.id).snapshot().manifest
        trim.trim(self.stores, self.id, 0, manifest.flushed_seq)

    @rule()
    def pass_time_and_collect(self) -> None:
        self.clock.skipped += self.stores.settings.gc_grace_seconds + 1
        gc.collect_garbage(self.stores, self.id)

    @rule()
    def pass_a_week(self) -> None:
        self.clock.skipped += 7 * 24 * 3600
        trim.delete_placeholders(self.stores, self.id, up_to=10_000)

    @rule()
    def refresh(self) -> None:
        self.later.run()

    @rule()
    def reopen(self) -> None:
        self.later.run()
        self.engines = [Engine(self.stores), Engine(self.stores, self.later)]
        self.indexer = Replica.for_indexer(self.stores, self.id)

    def chosen(self, names: list[str] | None, where: Any) -> list[str]:
        def fits(record: Record) -> bool:
            return where is None or holds(where, record.metadata, record.document)

        return [name for name in self.model.where(fits) if names is None or name in names]

    @staticmethod
    def all_of(view: Snapshot) -> str:
        return canonical(as_pairs(get_from(view, Selection(), None, 0, EVERYTHING, limits=ReadLimits(60.0, 0))))


Machine.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestMachine = pytest.mark.slow(Machine.TestCase)


def test_a_long_scenario_matches_the_model() -> None:
    """Many small writes of every kind with an indexer always at work, and two engines that take turns."""
    seed = 20261
    print(f"seed {seed}")
    source = random.Random(seed)
    with quick_folder() as folder:
        clock = Clock()
        stores = stores_at(folder, clock=clock)
        scope, collection = new_collection(stores)
        model, indexer = Model(), Replica.for_indexer(stores, collection.id)
        engines = [Engine(stores), Engine(stores)]
        for step in range(250):
            engine = engines[step % 2]
            names = source.sample([*IDS, *(f"n{number}" for number in range(60))], source.randrange(1, 8))
            op = source.choice(list(Op))
            brought = np.array([[source.randrange(-16, 17) / 8 for _ in range(DIMENSION)] for _ in names], np.float32)
            batch = Batch(op, names, None if op is Op.DELETE else brought)
            if op is Op.DELETE:
                engine.delete(scope, Selection(names))
            else:
                engine.write(scope, batch)
            model.apply(batch)
            if step % 7 == 0:
                index(stores, indexer, collection.id, idle=step % 2 == 0)
                clock.skipped += 3
        for engine in [*engines, Engine(stores)]:
            found = engine.get(scope, Selection(), None, 0, EVERYTHING)
            assert canonical(as_pairs(found)) == canonical([*model.records.items()])
        stores.table.close()
