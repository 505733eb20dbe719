"""Counts and values of selected records, against a count in Python of what `get` returns."""

from collections import Counter
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.collection import Engine
from afterglow.collection.read import values
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, Selection
from afterglow.errors import LimitExceeded
from afterglow.filters.parse import parse_where
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.settings import Settings
from tests.support.stores import new_collection, quick_folder, stores_at

SCALARS = st.one_of(
    st.booleans(),
    st.sampled_from([0, 1, -1, 2**53 + 1, 2**63 - 1, 7]),
    st.sampled_from([0.0, 1.0, -0.5, 2.0**53, 7.0]),
    st.sampled_from(["", "a", "b", "\u00e9", "\U0001f600", "\uffff"]),
)
LISTS = st.sampled_from([[True, False, True], [1, 1, 2], [0.5, 1.0], ["a", "a", "z"]])
RECORDS = st.lists(st.one_of(st.none(), SCALARS, LISTS), max_size=20)
WHERES = st.sampled_from([None, {"n": {"$gte": 5}}, {"n": {"$lt": 0}}, {"k": {"$ne": "a"}}])


def order(value: Any) -> tuple[int, Any]:
    return (0, value) if isinstance(value, bool) else (1, value) if isinstance(value, int | float) else (2, value)


def distinct_keys(value: Any) -> set[tuple[int, Any]]:
    items = value if isinstance(value, list) else [] if value is None else [value]
    return {order(item) for item in items}


@settings(max_examples=25, deadline=None)
@given(RECORDS, RECORDS, WHERES, st.integers(0, 8))
def test_values_are_those_of_the_records(flushed: list[Any], unflushed: list[Any], where: Any, limit: int) -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, Settings())
        scope, collection = new_collection(stores)
        engine = Engine(stores)
        for start, part in ((0, flushed), (len(flushed), unflushed)):
            metadatas = [
                {"n": start + number} | ({} if value is None else {"k": value}) for number, value in enumerate(part)
            ]
            ids = [str(start + number) for number in range(len(part))]
            engine.write(scope, Batch(Op.ADD, ids, np.zeros((len(part), 1), np.float32), metadatas=metadatas))
            if not start and flushed:
                index(stores, Replica.for_indexer(stores, collection.id), collection.id, idle=True)
        engine.delete(scope, Selection(["3"]))
        selection = Selection(where=parse_where(where))
        records = engine.get(scope, selection, None, 0, frozenset({Include.METADATAS}))
        held = [distinct_keys(orjson.loads(encoded or b"{}").get("k")) for encoded in records.metadatas or []]
        counts = Counter(key for keys in held for key in keys)
        expected = sorted(counts.items(), key=lambda item: (-item[1], item[0]))

        assert engine.count_selected(scope, selection).count == len(records.ids)
        found = engine.distinct(scope, selection, "k", limit)
        assert [(order(value), frequency) for value, frequency in found.values] == expected[:limit]
        assert found.total == len(counts)
        extremes = engine.value_range(scope, selection, "k")
        assert extremes.records == sum(map(bool, held))
        ends = [None if value is None else order(value) for value in (extremes.minimum, extremes.maximum)]
        assert ends == ([min(counts), max(counts)] if counts else [None, None])
        stores.table.close()


def test_too_many_distinct_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MAX_DISTINCT", 3)
    with quick_folder() as folder:
        stores = stores_at(folder, Settings())
        scope, _ = new_collection(stores)
        engine = Engine(stores)
        metadatas = [{"k": number % 4} for number in range(8)]
        engine.write(scope, Batch(Op.ADD, list("abcdefgh"), np.zeros((8, 1), np.float32), metadatas=metadatas))
        assert engine.distinct(scope, Selection(where=parse_where({"k": {"$gt": 0}})), "k", 9).total == 3
        with pytest.raises(LimitExceeded, match="more than 3 distinct values"):
            engine.distinct(scope, Selection(), "k", 9)
        stores.table.close()
