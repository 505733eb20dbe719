"""The estimate of a read's work: many vectors are refused by what they find, one vector never is."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from afterglow.collection.read import work
from afterglow.collection.read.work import Work
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.errors import LimitExceeded

ROWS, DIMENSION, LIMIT = 30_000, 64, 10.0
INDEXES: dict[str, dict[str, Any]] = {"graph": {"graph": object()}, "lists": {"lists": object()}, "none": {}}
MEASURED = {
    ("graph", 10): 0.0004,
    ("graph", 1_000): 0.0057,
    ("graph", 20_000): 0.0155,
    ("lists", 10): 0.0024,
    ("lists", 1_000): 0.0063,
    ("lists", 20_000): 0.0535,
}
"""Seconds of one core for one vector's k neighbours, measured in a collection of these rows and dimensions."""


def snapshot(index: str) -> Snapshot:
    group = SimpleNamespace(rows=SimpleNamespace(rows=ROWS), graph=None, lists=None)
    group.__dict__.update(INDEXES[index])
    return cast(Snapshot, SimpleNamespace(row_groups=[group], collection=SimpleNamespace(dimension=DIMENSION)))


@pytest.mark.parametrize("index", INDEXES)
def test_many_large_results_are_refused_and_few_are_not(index: str) -> None:
    with pytest.raises(LimitExceeded, match="the request would take about"):
        work.check(snapshot(index), Work(neighbors=[20_000] * 1_000), LIMIT)
    work.check(snapshot(index), Work(neighbors=[20_000] * 100), LIMIT)
    work.check(snapshot(index), Work(neighbors=[10] * 1_000), LIMIT)
    work.check(snapshot(index), Work(neighbors=[10**9]), 1e-9)


def test_250_results_of_20_000_from_lists_are_refused() -> None:
    """They take 12 s of one core."""
    with pytest.raises(LimitExceeded):
        work.check(snapshot("lists"), Work(neighbors=[20_000] * 250), LIMIT)


@pytest.mark.parametrize(("index", "k"), MEASURED)
def test_the_estimate_is_near_what_was_measured(index: str, k: int) -> None:
    seconds = MEASURED[index, k]
    pair = Work(neighbors=[k, k])
    with pytest.raises(LimitExceeded):
        work.check(snapshot(index), pair, seconds / 3)
    work.check(snapshot(index), pair, 3 * seconds)


def test_an_exact_search_counts_every_row_of_every_vector() -> None:
    for index in INDEXES:
        with pytest.raises(LimitExceeded):
            work.check(snapshot(index), Work(neighbors=[10] * 20_000, exact=True), LIMIT)
        work.check(snapshot(index), Work(neighbors=[10] * 1_000, exact=True), LIMIT)
