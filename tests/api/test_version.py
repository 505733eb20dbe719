"""`version` of a collection tells a new checkpoint from the last, `log_position` how far it holds the log."""

from pathlib import Path

import numpy as np
import orjson

from afterglow.api.http.handler import AppContext, Request
from afterglow.api.v2 import collections
from afterglow.collection import Batch, Engine, Op
from afterglow.collection.replica.replica import Replica
from afterglow.jobs.indexer import index
from tests.support.stores import new_collection, stores_at


def test_a_checkpoint_is_a_new_version(tmp_path: Path) -> None:
    stores = stores_at(tmp_path)
    engine = Engine(stores)
    scope, created = new_collection(stores)
    service = AppContext(engine, stores.settings, stores.system, allow_reset=False, threads=1)
    path = {"tenant": created.tenant, "database": created.database, "collection_id": str(created.id)}

    def payload() -> tuple[int, int]:
        result = orjson.loads(collections.get_by_id(service, Request(path)).body)
        return result["version"], result["log_position"]

    assert payload() == (0, 0)
    for number in range(1, 3):
        position = engine.write(scope, Batch(Op.ADD, [f"{number}"], np.ones((1, 2), dtype=np.float32)))
        before = payload()
        assert before[1] < number
        index(stores, Replica.for_indexer(stores, created.id), created.id, idle=True)
        assert payload() == (before[0] + 1, position) == (number, number)
    stores.table.close()
