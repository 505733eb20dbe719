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
    column = columns.column("k", ColumnType.SPARSE)
    if column is None:
        return []
    reference = np.array(sorted(query), dtype=np.uint32)
    lists = postings.invert(column).lists(reference) if inverted else postings.scan_lists(column, reference)
    return [Term(query[item], result) for item, result in zip(sorted(query), lists, strict=True) if result is not None]


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
            sums.append(float(sum(Fraction(query[item]) * Fraction(own[item]) for item in shared)))
    return np.array(rows, dtype=np.int64), np.array(sums, dtype=np.float64)


@given(
    st.lists(st.none() | sparse_vectors, max_size=12),
    st.dictionaries(st.sampled_from(DIMENSIONS), components, max_size=5),
    st.none() | st.lists(st.booleans(), min_size=12, max_size=12),
    st.integers(0, 6),
    st.booleans(),
)
def test_the_best_are_those_of_the_definition(
    given_values: list[Any], query: dict[int, float], allowed: list[bool] | None, k: int, inverted: bool
) -> None:
    columns = columns_of([{"k": item} for item in given_values])
    mask = None if allowed is None else np.array(allowed[: len(given_values)], dtype=np.bool_)
    rows, sums = maxscore.top_k(terms_of(columns, query, inverted=inverted), len(given_values), mask, k)
    assert rows.tolist() == sorted(set(rows.tolist()))
    every_row, every_sum = plain(given_values, query, mask)
    np.testing.assert_allclose(sums, every_sum[np.isin(every_row, rows)], rtol=1e-12, atol=1e-12)
    if k >= len(every_row):
        assert (rows.tolist() == every_row.tolist()) or k == 0
    result, reference = in_order(rows, sums, k), in_order(every_row, every_sum, k)
    assert len(result) == len(reference)
    np.testing.assert_allclose([item for _, item in result], [item for _, item in reference], rtol=3e-7, atol=3e-7)


@pytest.mark.slow
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
        sparse_vector(np.flatnonzero(item).tolist(), own[item].tolist())
        for item, own in zip(present, components, strict=True)
    ]
    columns = columns_of([{"k": item} for item in values])
    mask = None if share is None else source.random(rows) < share
    for number in range(12):
        query_dimensions = (
            source.choice(dimensions, 6, replace=False) if number % 2 else source.choice(20, 6, replace=False)
        )
        weights = np.log(1 + rows / (1 + present[:, query_dimensions].sum(axis=0)))
        if number % 3 == 2:
            weights[0] *= -1
        query = dict(zip(query_dimensions.tolist(), weights.tolist(), strict=True))
        order = np.argsort(query_dimensions)
        sums = np.zeros(rows)
        for item in order.tolist():
            sums += weights[item] * dense[:, query_dimensions[item]]
        shares = present[:, query_dimensions].any(axis=1) & (True if mask is None else mask)
        with np.errstate(over="ignore"):
            for k in (1, 10, 200):
                reference = in_order(np.flatnonzero(shares), sums[shares], k)
                assert in_order(*maxscore.top_k(terms_of(columns, query, inverted=True), rows, mask, k), k) == reference


def test_few_rows_are_left_of_many() -> None:
    """A rare dimension decides: rows with only the frequent one are pruned."""
    values = [sparse_vector([0, 1], [1, 1]) if row % 1_000 == 0 else sparse_vector([0], [1]) for row in range(20_000)]
    terms = terms_of(columns_of([{"k": item} for item in values]), {0: 0.01, 1: 5.0}, inverted=True)
    rows, sums = maxscore.top_k(terms, 20_000, None, 5)
    assert rows.tolist() == list(range(0, 20_000, 1_000))
    assert set(sums.tolist()) == {0.01 + 5.0}


def test_live_rows_are_counted() -> None:
    columns = columns_of([{"k": sparse_vector([1], [1])}, {"k": 1}, {"k": sparse_vector([1, 2], [1, 0])}])
    column = columns.column("k", ColumnType.SPARSE)
    assert column is not None
    complete = columns_of([{"k": sparse_vector([], [])}] * 3).column("k", ColumnType.SPARSE)
    assert complete is not None
    first, second, third = postings.invert(column).lists(np.array([1, 2, 3], dtype=np.uint32))
    for deleted, live, having in (
        (None, (2, 3), (2, 1, 0)),
        ([False, True, False], (2, 2), (2, 1, 0)),
        ([False, False, True], (1, 2), (1, 0, 0)),
    ):
        mask = None if deleted is None else np.array(deleted, dtype=np.bool_)
        counts = (maxscore.live_entries(one.count, one.row_ids, mask) for one in (column, complete))
        assert tuple(counts) == live
        assert tuple(maxscore.live_postings(item, mask) for item in (first, second, third)) == having
