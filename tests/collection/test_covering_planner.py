"""Searches by covering indexes: under a selective filter a cold reader reads the matching rows, and misses none."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.collection import Engine
from afterglow.collection.read import covering_planner
from afterglow.collection.read.explanation import Explanation, Method
from afterglow.collection.types import Selection
from afterglow.errors import Corrupt
from afterglow.filters.parse import parse_where
from afterglow.log.batch import Batch, Op
from afterglow.segment import distance
from afterglow.segment.distance import Space
from tests.collection.two_segments import DISTANCES, ROWS, TwoSegments, two_segments
from tests.support.remote import StrictObjects

pytestmark = pytest.mark.slow

VALUES = 40
LIVE = np.arange(ROWS) % 17 != 0


def metadata(row: int) -> dict[str, Any]:
    """A twelfth has no `value`; a third of the values of `mixed` are floats."""
    value = row * 7 % VALUES
    found: dict[str, Any] = {"number": value, "mixed": value + 0.5 if row % 3 == 0 else value, "pair": row % 2}
    return found if row % 12 == 0 else found | {"value": f"v{value:02}"}


def matching(condition: Callable[[dict[str, Any]], bool]) -> NDArray[np.int64]:
    """The live rows whose metadata satisfy a condition."""
    return np.array([row for row in range(ROWS) if LIVE[row] and condition(metadata(row))])


def roles(keys: dict[str, int]) -> list[str]:
    return sorted({key.rpartition("/")[2].partition("-")[0] for key in keys if "/segments/" in key})


@pytest.fixture(scope="module", params=[Space.L2, Space.COSINE, Space.IP])
def loaded(request: pytest.FixtureRequest) -> Iterator[TwoSegments]:
    """Some of the rows are deleted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("afterglow.segment.covering_writer._MOST_BYTES", 1.0)
        with two_segments(request.param, 29, metadata) as made:
            Engine(made.stores).write(made.scope, Batch(Op.DELETE, [str(row) for row in np.flatnonzero(~LIVE)]))
            made.index()
            yield made


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
    loaded: TwoSegments, where: dict[str, Any], condition: Callable[[dict[str, Any]], bool], k: int
) -> None:
    allowed = matching(condition)
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
def test_other_filters_are_searched_in_lists(loaded: TwoSegments, where: dict[str, Any]) -> None:
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
def test_narrow_columns_say_the_same(loaded: TwoSegments, where: dict[str, Any]) -> None:
    selection = Selection(where=parse_where(where))
    objects = StrictObjects(loaded.stores.objects)
    found = Engine(replace(loaded.stores, objects=objects)).get(loaded.scope, selection, None, 0, frozenset()).ids
    assert found == Engine(loaded.stores).get(loaded.scope, selection, None, 0, frozenset()).ids


def test_the_values_of_a_narrow_column_are_read_in_few_bytes(loaded: TwoSegments) -> None:
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
    loaded: TwoSegments, where: dict[str, Any], k: int
) -> None:
    engine = Engine(loaded.stores)
    selection = Selection(where=parse_where(where))
    every = set(engine.get(loaded.scope, selection, None, 0, frozenset()).ids)
    rows, _ = loaded.find(loaded.queries[3], k, where)
    assert len(set(rows)) == min(k, len(every))
    assert set(map(str, rows)) <= every


def test_a_segment_without_covering_index_is_searched_in_its_lists(
    loaded: TwoSegments, monkeypatch: pytest.MonkeyPatch
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


def test_on_a_disk_many_matches_are_searched_in_lists(loaded: TwoSegments, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covering_planner, "_MOST_ON_DISK", 150)

    def methods(objects: StrictObjects, where: dict[str, Any]) -> set[Method | None]:
        explanation, selection = Explanation(), Selection(where=parse_where(where))
        engine = Engine(replace(loaded.stores, objects=objects))
        engine.find(loaded.scope, loaded.queries[:1], 10, selection, DISTANCES, explanation=explanation)
        return {step.method for search in explanation.searches for knn in search.neighbors for step in knn.groups}

    few, many = {"number": 11}, {"number": {"$lt": 6}}
    assert methods(MappedObjects(loaded.stores.objects), few) == {Method.COVERING}
    assert methods(MappedObjects(loaded.stores.objects), many) == {Method.LISTS}
    assert methods(StrictObjects(loaded.stores.objects), many) == {Method.COVERING}


def test_the_explanation_names_the_covering_index(loaded: TwoSegments) -> None:
    explanation = Explanation()
    selection = Selection(where=parse_where({"number": 11}))
    Engine(loaded.stores).find(loaded.scope, loaded.queries[:2], 10, selection, DISTANCES, explanation=explanation)
    ((knn,),) = [search.neighbors for search in explanation.searches]
    assert explanation.may_lose_recall
    assert {step.method for step in knn.groups} == {Method.COVERING}
    assert [step.compared for step in knn.groups] == [2 * step.matching for step in knn.groups]
    assert {step.recall for step in knn.groups} == {0.98}


def test_a_damaged_covering_index_is_named(loaded: TwoSegments) -> None:
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
