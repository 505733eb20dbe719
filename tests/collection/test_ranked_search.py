"""Searches over segments with their dead rows, graphs and sparse lists, and over the tail, against the reference."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.v2.search import search
from afterglow.collection import Batch, Engine, Op
from afterglow.collection.replica.replica import Replica
from afterglow.jobs.indexer import index
from tests.ranking import reference
from tests.support.batches import DIMENSION, KEYS, batches, ids, sparse_queries, vectors
from tests.support.model import Model
from tests.support.stores import new_collection, quick_folder, stores_at

numbers = st.sampled_from([-2.0, -0.5, 0.0, 1.0, 3.0])
limits = st.integers(0, 8)
optional = {"default": numbers, "return_rank": st.booleans()}


def sparse(drawn: dict[int, float]) -> dict[str, Any]:
    return {"indices": sorted(drawn), "values": [drawn[index] for index in sorted(drawn)]}


dense_knn = st.fixed_dictionaries({"query": vectors, "limit": limits}, optional=optional)
sparse_knn = st.fixed_dictionaries(
    {"query": sparse_queries.map(sparse), "key": st.just("b"), "limit": limits}, optional=optional
)
nearest = st.fixed_dictionaries({"$knn": dense_knn | sparse_knn})


def operators(ranks: Any) -> Any:
    pair = st.fixed_dictionaries({"left": ranks, "right": ranks})
    return st.one_of(
        *(st.fixed_dictionaries({name: st.lists(ranks, max_size=3)}) for name in reference.NARY_OPERATORS),
        *(st.fixed_dictionaries({name: pair}) for name in reference.BINARY_OPERATORS),
        *(st.fixed_dictionaries({name: ranks}) for name in reference.FUNCTIONS),
    )


ranks = st.recursive(nearest | st.fixed_dictionaries({"$val": numbers}), operators, max_leaves=6)
filters = st.sampled_from(
    [
        {},
        {"a": {"$ne": "x"}},
        {"#id": {"$in": ["id0", "id1", "id2", "id3", "ключ", "nobody"]}},
        {"$or": [{"#id": {"$ne": "id1"}}, {"b": {"$gte": 0}}]},
        {"$and": [{"#id": {"$nin": ["id4", ""]}}, {"#document": {"$not_contains": "e"}}]},
    ]
)
keys = st.sampled_from(KEYS)
aggregates = st.fixed_dictionaries(
    {
        "keys": st.lists(keys | st.just("#score"), min_size=1, max_size=2),
        "k": st.integers(1, 2),
    }
)
groups = st.fixed_dictionaries(
    {
        "keys": st.lists(keys, min_size=1, max_size=2),
        "aggregate": st.sampled_from(["$min_k", "$max_k"]).flatmap(
            lambda name: st.fixed_dictionaries({name: aggregates})
        ),
    }
)
pages = st.fixed_dictionaries({}, optional={"offset": st.integers(0, 4), "limit": st.integers(0, 6)})
ranked = st.fixed_dictionaries({"rank": ranks}, optional={"filter": filters, "group_by": groups, "limit": pages})
unranked = st.fixed_dictionaries({}, optional={"filter": filters, "limit": pages})
SELECTED = ["#document", "#embedding", "#metadata", "#score"]
touches = st.lists(st.integers(0, 19), min_size=1, max_size=5).map(
    lambda numbers: Batch(Op.UPDATE, [f"crowd {number}" for number in numbers], uris=["u:1"] * len(numbers))
)
"""Updates that only move rows into the tail, out of their order."""
steps = st.lists(st.none() | touches | batches(), min_size=1, max_size=6)
"""Writes, and None where everything is folded."""


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    space=st.sampled_from(["l2", "ip", "cosine"]),
    crowd=st.integers(0, 20),
    steps=steps,
    searches=st.lists(ranked | unranked, min_size=4, max_size=8),
    named=ids,
)
def test_searches_equal_the_record_by_record_evaluation(
    space: str, crowd: int, steps: list[Batch | None], searches: list[dict[str, Any]], named: str
) -> None:
    with quick_folder() as folder:
        stores = stores_at(folder)
        scope, collection = new_collection(stores, space=space, sparse={"b": False})
        engine, indexer = Engine(stores), Replica.for_indexer(stores, collection.id)
        model, indexed = Model(), Model()
        for step in [crowded(crowd), *steps]:
            if step is None:
                index(stores, indexer, collection.id, idle=True)
                indexed = model.copy()
            else:
                engine.write(scope, step)
                model.apply(step)
        service = AppContext(engine, stores.settings, stores.system, allow_reset=False, threads=1)
        path = {"tenant": scope.tenant, "database": scope.database, "collection_id": str(scope.collection)}
        asked = [*searches, {"filter": {"#id": named}}]
        for level, of in (("index_and_wal", model), ("index_only", indexed)):
            body = {"searches": [{**entry, "select": {"keys": SELECTED}} for entry in asked], "read_level": level}
            answer = search(service, Request(path, b"", orjson.dumps(body)))
            result = orjson.loads((answer if isinstance(answer, Response) else answer.work()).body)
            for at, entry in enumerate(asked):
                check({name: column[at] for name, column in result.items()}, reference.found(of, space, entry), of)
        stores.table.close()


def crowded(count: int) -> Batch:
    """Enough records for graphs, many of them at one place."""
    names = [f"crowd {number}" for number in range(count)]
    brought = np.array([[number % 4, 0, 1] for number in range(count)], dtype=np.float32).reshape(count, DIMENSION)
    sparse = {"#type": "sparse_vector", "indices": [1], "values": [0.5]}
    metadatas = [{"a": number % 3, "b": sparse} if number % 2 else {"a": float(number % 3)} for number in range(count)]
    return Batch(Op.UPSERT, names, brought, metadatas=metadatas)


def check(result: dict[str, Any], expected: list[tuple[str, np.float32]], model: Model) -> None:
    records = [model.records[name] for name, _ in expected]
    assert result["ids"] == [name for name, _ in expected]
    scores = [float(score) if np.isfinite(score) else None for _, score in expected]
    assert [score if score is None else np.float32(score) for score in result["scores"]] == scores
    assert result["documents"] == [record.document for record in records]
    assert result["metadatas"] == [record.metadata for record in records]
    assert result["embeddings"] == [list(record.vector) for record in records]
    assert result["select"] == SELECTED
