"""The nearest by inner product, against the product of a dense matrix."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.columns import ColumnSet, ColumnType
from afterglow.segment import maxscore, postings
from afterglow.segment.maxscore import Term
from tests.columns.records import DIMENSIONS, columns_of, components, sparse_vector, sparse_vectors

Floats = NDArray[np.float64]


def terms_of(columns: ColumnSet, query: dict[int, float], *, inverted: bool) -> list[Term]:
    lane = columns.column("k", ColumnType.SPARSE)
    if lane is None:
        return []
    wanted = np.array(sorted(query), dtype=np.uint32)
    lists = postings.invert(lane).lists(wanted) if inverted else postings.scan_lists(lane, wanted)
    return [Term(query[each], found) for each, found in zip(sorted(query), lists, strict=True) if found is not None]


def in_order(rows: NDArray[np.int64], sums: Floats, k: int) -> list[tuple[int, float]]:
    """The first k by distance and row."""
    distances = (1 - sums).astype(np.float32)
    order = np.lexsort((rows, distances))[:k]
    return list(zip(rows[order].tolist(), distances[order].tolist(), strict=True))


def plain(given_values: list[Any], query: dict[int, float], mask: NDArray[np.bool_] | None) -> Any:
    """Rows that share a dimension with the query, with their products: exact sums, rounded once."""
    rows, sums = [], []
    for row, value in enumerate(given_values):
        shared = set(query).intersection(value["indices"]) if isinstance(value, dict) else set()
        if shared and (mask is None or mask[row]):
            own = dict(zip(value["indices"], value["values"], strict=True))
            rows.append(row)
            sums.append(float(sum(Fraction(query[each]) * Fraction(own[each]) for each in shared)))
    return np.array(rows, dtype=np.int64), np.array(sums, dtype=np.float64)


@given(
    st.lists(st.none() | sparse_vectors, max_size=12),
    st.dictionaries(st.sampled_from(DIMENSIONS), components, max_size=5),
    st.none() | st.lists(st.booleans(), min_size=12, max_size=12),
    st.integers(0, 6),
    st.booleans(),
)
def test_the_best_are_those_of_the_definition(
    given_values: list[Any], query: dict[int, float], chosen: list[bool] | None, k: int, inverted: bool
) -> None:
    columns = columns_of([{"k": each} for each in given_values])
    mask = None if chosen is None else np.array(chosen[: len(given_values)], dtype=np.bool_)
    rows, sums = maxscore.top_k(terms_of(columns, query, inverted=inverted), len(given_values), mask, k)
    assert rows.tolist() == sorted(set(rows.tolist()))
    every_row, every_sum = plain(given_values, query, mask)
    np.testing.assert_allclose(sums, every_sum[np.isin(every_row, rows)], rtol=1e-12, atol=1e-12)
    if k >= len(every_row):
        assert (rows.tolist() == every_row.tolist()) or k == 0
    found, wanted = in_order(rows, sums, k), in_order(every_row, every_sum, k)
    assert len(found) == len(wanted)
    np.testing.assert_allclose([each for _, each in found], [each for _, each in wanted], rtol=3e-7, atol=3e-7)


@pytest.mark.parametrize("signs", ["positive", "mixed", "negative", "tiny", "huge", "many ties"])
@pytest.mark.parametrize("share", [None, 0.5, 0.004])
def test_nothing_is_lost_by_stopping_early(signs: str, share: float | None) -> None:
    source = np.random.default_rng(3)
    rows, dimensions = 4_000, 300
    present = source.random((rows, dimensions)) < 1 / np.arange(2, dimensions + 2)
    components = source.random((rows, dimensions)).astype(np.float32) + np.float32(0.1)
    match signs:
        case "mixed":
            components *= np.where(source.random((rows, dimensions)) < 0.2, -1, 1).astype(np.float32)
        case "negative":
            components *= np.float32(-1)
        case "tiny":
            components *= np.float32(1e-30)
        case "huge":
            components *= np.float32(1e38)
        case "many ties":
            components = np.ceil(components * 2).astype(np.float32)
        case _:
            assert signs == "positive"
    dense = np.where(present, components, 0).astype(np.float64)
    values = [
        sparse_vector(np.flatnonzero(each).tolist(), own[each].tolist())
        for each, own in zip(present, components, strict=True)
    ]
    columns = columns_of([{"k": each} for each in values])
    mask = None if share is None else source.random(rows) < share
    for number in range(12):
        asked = source.choice(dimensions, 6, replace=False) if number % 2 else source.choice(20, 6, replace=False)
        weights = np.log(1 + rows / (1 + present[:, asked].sum(axis=0)))
        if number % 3 == 2:
            weights[0] *= -1
        query = dict(zip(asked.tolist(), weights.tolist(), strict=True))
        order = np.argsort(asked)
        sums = np.zeros(rows)
        for each in order.tolist():
            sums += weights[each] * dense[:, asked[each]]
        shares = present[:, asked].any(axis=1) & (True if mask is None else mask)
        with np.errstate(over="ignore"):
            for k in (1, 10, 200):
                wanted = in_order(np.flatnonzero(shares), sums[shares], k)
                assert in_order(*maxscore.top_k(terms_of(columns, query, inverted=True), rows, mask, k), k) == wanted


def test_few_rows_are_left_of_many() -> None:
    """A rare dimension decides: the rows that only have the frequent one are not looked at."""
    values = [sparse_vector([0, 1], [1, 1]) if row % 1_000 == 0 else sparse_vector([0], [1]) for row in range(20_000)]
    terms = terms_of(columns_of([{"k": each} for each in values]), {0: 0.01, 1: 5.0}, inverted=True)
    rows, sums = maxscore.top_k(terms, 20_000, None, 5)
    assert rows.tolist() == list(range(0, 20_000, 1_000))
    assert set(sums.tolist()) == {0.01 + 5.0}


def test_the_living_are_counted() -> None:
    columns = columns_of([{"k": sparse_vector([1], [1])}, {"k": 1}, {"k": sparse_vector([1, 2], [1, 0])}])
    lane = columns.column("k", ColumnType.SPARSE)
    assert lane is not None
    complete = columns_of([{"k": sparse_vector([], [])}] * 3).column("k", ColumnType.SPARSE)
    assert complete is not None
    one, two, three = postings.invert(lane).lists(np.array([1, 2, 3], dtype=np.uint32))
    for dead, living, having in (
        (None, (2, 3), (2, 1, 0)),
        ([False, True, False], (2, 2), (2, 1, 0)),
        ([False, False, True], (1, 2), (1, 0, 0)),
    ):
        mask = None if dead is None else np.array(dead, dtype=np.bool_)
        assert (maxscore.live_entries(lane, 3, mask), maxscore.live_entries(complete, 3, mask)) == living
        assert tuple(maxscore.live_postings(each, mask) for each in (one, two, three)) == having
