"""Score sets: which records a combination supports, and with which scores."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.ranking.scores import KnnHits, ScoreSet, apply, combine, constant, from_hits

scores = st.integers(-8, 8).map(lambda number: number / 4)
supports = st.dictionaries(st.integers(0, 9), scores, max_size=6)
defaults = st.none() | scores
OPERATORS: list[Callable[..., Any]] = [np.add, np.subtract, np.multiply, np.fmax, np.fmin]


def score_set(support: dict[int, float], default: float | None) -> ScoreSet:
    records = sorted(support)
    return ScoreSet(
        np.array(records, dtype=np.int64),
        np.array([support[record] for record in records], dtype=np.float32),
        None if default is None else np.float32(default),
    )


score_sets = st.builds(score_set, supports, defaults)


def lookup(scored: ScoreSet, record: int) -> float | None:
    """The score of one record, None where it drops out."""
    support = dict(zip(scored.records.tolist(), scored.scores.tolist(), strict=True))
    return support.get(record, None if scored.default is None else float(scored.default))


@given(score_sets, score_sets, st.sampled_from(OPERATORS))
def test_a_combination_is_taken_record_by_record(left: ScoreSet, right: ScoreSet, ufunc: Callable[..., Any]) -> None:
    combined = combine(left, right, ufunc)
    assert (np.diff(combined.records) > 0).all()
    for record in range(12):
        pair = lookup(left, record), lookup(right, record)
        expected = None if None in pair else float(ufunc(np.float32(pair[0]), np.float32(pair[1])))
        assert lookup(combined, record) == expected


@given(score_sets, score_sets)
def test_the_support_follows_the_defaults(left: ScoreSet, right: ScoreSet) -> None:
    ours, theirs = set(left.records.tolist()), set(right.records.tolist())
    rules = {(True, True): ours & theirs, (False, True): theirs, (True, False): ours, (False, False): ours | theirs}
    combined = combine(left, right, np.add)
    assert set(combined.records.tolist()) == rules[left.default is None, right.default is None]


@given(score_sets)
def test_zero_is_neutral_for_sums(scored: ScoreSet) -> None:
    combined = combine(scored, constant(0), np.add)
    assert [lookup(combined, record) for record in range(12)] == [lookup(scored, record) for record in range(12)]


@given(score_sets)
def test_a_function_applies_to_scores_and_default(scored: ScoreSet) -> None:
    negated = apply(scored, operator.neg)
    for record in range(12):
        score = lookup(scored, record)
        assert lookup(negated, record) == (None if score is None else -score)


@pytest.mark.parametrize(("by_rank", "expected"), [(False, {5: 0.25, 2: 0.5, 9: 0.75}), (True, {5: 0, 2: 1, 9: 2})])
def test_hits_are_scored_by_distance_or_rank(by_rank: bool, expected: dict[int, float]) -> None:
    hits = KnnHits(np.array([5, 2, 9]), np.array([0.25, 0.5, 0.75], dtype=np.float32))
    scored = from_hits(hits, 7.0, by_rank=by_rank)
    assert scored.records.tolist() == [2, 5, 9]
    assert {record: lookup(scored, record) for record in expected} == expected
    assert lookup(scored, 1) == 7.0


def test_scores_of_other_records_are_the_default() -> None:
    scored = score_set({2: 1.0, 5: 2.0}, 9.0)
    assert np.asarray(scored.scores_of(np.array([1, 2, 5, 7]))).tolist() == [9.0, 1.0, 2.0, 9.0]
    assert constant(3.0).scores_of(np.array([1, 2])) == np.float32(3.0)
