"""Searches by covering indexes: under a selective filter a cold reader reads the matching rows, and misses none."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.collection import Engine
from afterglow.collection.read import covering_planner
from afterglow.collection.read.explanation import Explanation, Method
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, Scope, Selection
from afterglow.errors import Corrupt
from afterglow.filters.parse import parse_where
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.segment import distance
from afterglow.segment.distance import Space
from afterglow.settings import Settings
from afterglow.storage.ports import Stores
from tests.support.remote import StrictObjects
from tests.support.stores import new_collection, quick_folder, stores_at

pytestmark = pytest.mark.slow

ROWS, DIMENSION, VALUES = 6_000, 96, 40
DISTANCES = frozenset({Include.DISTANCES})


def metadata(row: int) -> dict[str, Any]:
    """A twelfth has no `value`; a third of the values of `mixed` are floats."""
    value = row * 7 % VALUES
    found: dict[str, Any] = {"number": value, "mixed": value + 0.5 if row % 3 == 0 else value, "pair": row % 2}
    return found if row % 12 == 0 else found | {"value": f"v{value:02}"}


@dataclass(frozen=True)
class Loaded:
    """A collection of two clustered segments, its rows in the order of ids; some of them are deleted."""

    stores: Stores
    scope: Scope
    space: Space
    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    live: NDArray[np.bool_]

    def find(self, query: NDArray[np.float32], k: int, where: dict[str, Any]) -> tuple[list[int], StrictObjects]:
        """The rows that a cold reader finds."""
        objects = StrictObjects(self.stores.objects)
        engine = Engine(replace(self.stores, objects=objects))
        hits = engine.find(self.scope, query[np.newaxis], k, Selection(where=parse_where(where)), DISTANCES)
        return list(map(int, hits.read()[0].records.ids)), objects

    def matching(self, condition: Callable[[dict[str, Any]], bool]) -> NDArray[np.int64]:
        """The live rows whose metadata satisfy a condition."""
        return np.array([row for row in range(ROWS) if self.live[row] and condition(metadata(row))])


def roles(keys: dict[str, int]) -> list[str]:
    return sorted({key.rpartition("/")[2].partition("-")[0] for key in keys if "/segments/" in key})


@pytest.fixture(scope="module", params=[Space.L2, Space.COSINE, Space.IP])
def loaded(request: pytest.FixtureRequest) -> Iterator[Loaded]:
    settings = Settings(hnsw_min_rows=500, lists_min_rows=1_000, max_segment_vector_bytes=1, index="lists")
    source = np.random.default_rng(29)
    centers = source.normal(size=(50, DIMENSION))
    shape = ROWS, DIMENSION
    vectors = (centers[source.integers(50, size=ROWS)] / 2 + source.normal(size=shape)).astype(np.float32)
    queries = (vectors[::150] + source.normal(size=(ROWS // 150, DIMENSION)) / 4).astype(np.float32)
    with quick_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("afterglow.segment.covering_writer._MOST_BYTES", 1.0)
        stores = stores_at(folder, settings)
        scope, state = new_collection(stores, space=request.param)
        engine, replica = Engine(stores), Replica.for_indexer(stores, state.id)
        for first in range(0, ROWS, 3_000):
            rows = range(first, first + 3_000)
            batch = Batch(
                Op.ADD, list(map(str, rows)), vectors[first : first + 3_000], metadatas=list(map(metadata, rows))
            )
            engine.write(scope, batch)
            index(stores, replica, state.id, idle=True)
        engine.write(scope, Batch(Op.DELETE, [str(row) for row in range(0, ROWS, 17)]))
        index(stores, replica, state.id, idle=True)
        assert all(group.lists is not None for group in replica.snapshot().row_groups)
        live = np.arange(ROWS) % 17 != 0
        yield Loaded(stores, scope, request.param, vectors, queries, live)
        stores.table.close()


COVERED: list[tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = [
    ({"value": "v07"}, lambda row: row.get("value") == "v07"),
    ({"number": 11}, lambda row: row["number"] == 11),
    ({"number": {"$gte": 37}}, lambda row: row["number"] >= 37),
    ({"number": {"$in": [2, 30]}}, lambda row: row["number"] in {2, 30}),
    ({"$or": [{"number": 0}, {"number": 39}]}, lambda row: row["number"] in {0, 39}),
    ({"$and": [{"number": {"$lt": 6}}, {"pair": 1}]}, lambda row: row["number"] < 6 and row["pair"] == 1),
    ({"mixed": 5.5}, lambda row: row["mixed"] == 5.5),
]


@pytest.mark.parametrize(("where", "condition"), COVERED)
@pytest.mark.parametrize("k", [1, 10, 300])
def test_the_nearest_matches_are_found_by_their_entries_alone(
    loaded: Loaded, where: dict[str, Any], condition: Callable[[dict[str, Any]], bool], k: int
) -> None:
    allowed = loaded.matching(condition)
    found = 0
    for query in loaded.queries:
        rows, objects = loaded.find(query, k, where)
        count = min(k, len(allowed))
        assert len(set(rows)) == count
        assert set(rows) <= set(allowed.tolist())
        exact = distance.exact_distances(loaded.space, loaded.vectors[allowed], query)
        found += len(set(rows) & set(allowed[np.argsort(exact, kind="stable")[:k]].tolist()))
        steps = [roles(keys) for keys in objects.rounds if roles(keys)]
        assert ["covering"] in steps
        assert not any("lists" in step or "binary_codes" in step for step in steps)
        assert len(steps) <= 6
    assert found / (min(k, len(allowed)) * len(loaded.queries)) >= 0.98


NOT_COVERED: list[dict[str, Any]] = [
    {"number": {"$lt": 30}},
    {"value": {"$ne": "v07"}},
    {"pair": 1},
    {"mixed": {"$lt": 3}},
    {"number": {"$in": list(range(0, VALUES, 2))}},
]


@pytest.mark.parametrize("where", NOT_COVERED)
def test_other_filters_are_searched_in_lists(loaded: Loaded, where: dict[str, Any]) -> None:
    rows, objects = loaded.find(loaded.queries[0], 10, where)
    assert len(rows) == 10
    assert any("lists" in roles(keys) for keys in objects.rounds)
    assert not any("covering" in roles(keys) for keys in objects.rounds)


def conditions() -> st.SearchStrategy[dict[str, Any]]:
    operators = st.sampled_from(["$eq", "$ne", "$lt", "$lte", "$gt", "$gte"])
    numbers = st.builds(lambda operator, value: {operator: value}, operators, st.integers(-1, VALUES))
    leaves = st.one_of(
        st.builds(lambda key, test: {key: test}, st.sampled_from(["number", "mixed", "pair"]), numbers),
        st.builds(lambda value: {"value": f"v{value:02}"}, st.integers(0, VALUES)),
        st.builds(lambda some: {"number": {"$in": some}}, st.lists(st.integers(0, VALUES), min_size=1, max_size=3)),
    )
    pairs = st.lists(leaves, min_size=2, max_size=3)
    return st.one_of(leaves, st.builds(lambda of, some: {of: some}, st.sampled_from(["$and", "$or"]), pairs))


class MappedObjects(StrictObjects):
    """As on a disk: what is mapped costs no bytes, so narrow columns are left alone."""

    @property
    def evicts(self) -> bool:
        return False


@settings(max_examples=40)
@given(where=conditions())
def test_narrow_columns_say_the_same(loaded: Loaded, where: dict[str, Any]) -> None:
    selection = Selection(where=parse_where(where))
    objects = StrictObjects(loaded.stores.objects)
    found = Engine(replace(loaded.stores, objects=objects)).get(loaded.scope, selection, None, 0, frozenset()).ids
    assert found == Engine(loaded.stores).get(loaded.scope, selection, None, 0, frozenset()).ids


def test_the_values_of_a_narrow_column_are_read_in_few_bytes(loaded: Loaded) -> None:
    sizes = {}
    for kind in (MappedObjects, StrictObjects):
        objects = kind(loaded.stores.objects)
        engine = Engine(replace(loaded.stores, objects=objects))
        assert engine.get(loaded.scope, Selection(where=parse_where({"number": 3})), None, 0, frozenset()).ids
        columns = next(keys for keys in objects.rounds if roles(keys) in (["rows"], ["narrow"]))
        sizes[kind] = roles(columns), sum(columns.values())
    assert sizes[MappedObjects][0] == ["rows"]
    assert sizes[StrictObjects][0] == ["narrow"]
    assert 2 * sizes[StrictObjects][1] <= sizes[MappedObjects][1]


@settings(max_examples=60)
@given(where=conditions(), k=st.sampled_from([1, 20, 400]))
def test_whatever_the_filter_the_rows_match_and_there_are_as_many(
    loaded: Loaded, where: dict[str, Any], k: int
) -> None:
    engine = Engine(loaded.stores)
    selection = Selection(where=parse_where(where))
    matching = set(engine.get(loaded.scope, selection, None, 0, frozenset()).ids)
    rows, _ = loaded.find(loaded.queries[3], k, where)
    assert len(set(rows)) == min(k, len(matching))
    assert set(map(str, rows)) <= matching


def test_a_segment_without_covering_index_is_searched_in_its_lists(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = loaded.find(loaded.queries[1], 10, {"number": 11})
    is_first = iter([True, False] * 4)
    original = covering_planner.covered
    monkeypatch.setattr(
        "afterglow.collection.read.knn_planner.covered",
        lambda group, keys: None if next(is_first) else original(group, keys),
    )
    rows, objects = loaded.find(loaded.queries[1], 10, {"number": 11})
    assert len(set(rows) & set(expected)) >= 9
    used = {role for keys in objects.rounds for role in roles(keys)}
    assert {"covering", "lists"} <= used


def test_the_explanation_names_the_covering_index(loaded: Loaded) -> None:
    explanation = Explanation()
    selection = Selection(where=parse_where({"number": 11}))
    Engine(loaded.stores).find(loaded.scope, loaded.queries[:2], 10, selection, DISTANCES, explanation=explanation)
    ((knn,),) = [search.neighbors for search in explanation.searches]
    assert explanation.may_lose_recall
    assert {step.method for step in knn.groups} == {Method.COVERING}
    assert [step.compared for step in knn.groups] == [2 * step.matching for step in knn.groups]
    assert {step.recall for step in knn.groups} == {0.98}


def test_a_damaged_covering_index_is_named(loaded: Loaded) -> None:
    (key, *_) = [found.key for found in loaded.stores.objects.list("") if found.key.endswith("/covering")]
    path = loaded.stores.objects.local_path(key)
    sound = path.read_bytes()
    path.chmod(0o600)
    try:
        path.write_bytes(bytes(byte ^ 1 for byte in sound))
        with pytest.raises(Corrupt, match="covering is damaged"):
            loaded.find(loaded.queries[0], 10, {"number": 11})
    finally:
        path.write_bytes(sound)
