"""How many lists a search under a filter reads, by how the matching rows lie in them."""

import numpy as np
import pytest

from afterglow.collection.read.filtered_breadth import Counts, depth, lists_to_probe

LISTS, ROWS = 1_000, 80


def needed(share: float) -> int:
    """As measured of an index: 20 lists for 10 neighbours, and five times as many for ten times the depth."""
    return min(int(np.ceil(20 * (1 / share) ** 0.7)), LISTS)


def probe(matches: Counts, k: int = 10) -> tuple[int, float]:
    count, share = lists_to_probe(np.full(LISTS, ROWS), matches, k, needed)
    assert 0 <= count <= int(np.count_nonzero(matches))
    assert np.sort(matches[matches > 0])[:count].sum() >= min(k, matches.sum()) or count >= k
    return count, share


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_few_matches_are_looked_for_deeper_as_they_may_be_late(k: int) -> None:
    random = np.random.default_rng(k)
    for share in (0.01, 0.1, 0.5):
        found = random.binomial(int(depth(k, share) / share), share, size=20_000)
        as_deep_as_the_average = random.binomial(int(k / share), share, size=20_000)
        assert np.minimum(found, k).mean() >= 0.93 * k
        assert np.minimum(as_deep_as_the_average, k).mean() < 0.9 * k
    assert depth(k, 1.0) == k
    assert depth(10 * k, 0.01) == max(10 * k, 10)


@pytest.mark.parametrize("share", [0.002, 0.01, 0.1])
def test_of_an_independent_filter_only_lists_with_a_match_are_read(share: float) -> None:
    matches = np.random.default_rng(3).binomial(ROWS, share, size=LISTS)
    count, assumed = probe(matches)
    with_match = np.count_nonzero(matches) / LISTS
    assert 0.85 * with_match * needed(share) <= count <= 1.35 * with_match * needed(share) + 1
    assert 0.6 * share <= assumed <= 1.1 * share


def test_more_are_read_where_fewer_rows_match_around_the_query() -> None:
    even = np.random.default_rng(3).binomial(ROWS, 0.05, size=LISTS)
    thin = even.copy()
    thin[:400] = np.random.default_rng(4).binomial(ROWS, 0.005, size=400)
    assert probe(thin)[0] > 1.2 * probe(even)[0]
    assert probe(thin)[1] < 0.5 * probe(even)[1]


@pytest.mark.parametrize("first", [0, 500, LISTS - 10])
def test_of_rows_together_in_few_lists_all_are_read(first: int) -> None:
    matches = np.zeros(LISTS, dtype=np.int64)
    matches[first : first + 10] = ROWS
    assert probe(matches)[0] == 10


def test_enough_lists_for_k_rows() -> None:
    matches = np.zeros(LISTS, dtype=np.int64)
    matches[::5] = 1
    assert probe(matches, 150)[0] >= 150
    assert probe(matches, 10_000)[0] == 200


def test_nothing_is_read_where_nothing_matches() -> None:
    assert probe(np.zeros(LISTS, dtype=np.int64)) == (0, 0.0)
