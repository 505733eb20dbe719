"""Deleting what expired, with a fault at each storage call: nobody sees a difference, and the next run ends it."""

import contextlib

import numpy as np
import pytest

from afterglow.collection import Batch, Engine, Op
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Selection
from afterglow.errors import Unavailable
from afterglow.jobs import ttl_sweep
from afterglow.jobs.indexer import index
from tests.support.faulty import Crash, Fault, Faults, nth
from tests.support.stores import ManualClock, new_collection, quick_folder, stores_at, with_faults

SIZE = 20


def run_with(faults: Faults) -> None:
    with quick_folder() as folder:
        clock = ManualClock()
        stores = stores_at(folder, clock=clock)
        scope, made = new_collection(stores, metadata={"afterglow:ttl_key": "until"})
        ids = [f"{number}" for number in range(SIZE)]
        metadatas = [{"until": int(clock.seconds) + 10 + number % 2 * 100} for number in range(SIZE)]
        vectors = np.eye(SIZE, 4, dtype=np.float32)
        Engine(stores).write(scope, Batch(Op.ADD, ids, vectors, metadatas=metadatas))
        index(stores, Replica.for_indexer(stores, made.id), made.id, idle=True)
        clock.seconds += 50
        faulty = with_faults(stores, faults)
        with contextlib.suppress(Crash, Unavailable):
            index(faulty, Replica.for_indexer(faulty, made.id), made.id, idle=True)
        assert Engine(stores).get(scope, Selection(), None, 0, frozenset()).ids == ids[1::2]
        index(stores, Replica.for_indexer(stores, made.id), made.id, idle=True)
        assert ttl_sweep.collections_due(stores) == []
        view = Replica(stores, made.id).snapshot()
        assert (view.records, view.applied_seq) == (SIZE // 2, view.manifest.flushed_seq)
        assert Engine(stores).get(scope, Selection(), None, 0, frozenset()).ids == ids[1::2]
        stores.table.close()


@pytest.mark.slow
@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_every_request(fault: Fault) -> None:
    clean = Faults()
    run_with(clean)
    assert "table.transact" in clean.calls
    for number in range(len(clean.calls)):
        run_with(Faults(nth(number, fault)))
