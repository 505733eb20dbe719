"""Score sets: the score of each record while an expression is evaluated.

A score set assigns a score to each record of its *support*. Its default, if it has one, is the score of every other
record; without one, other records drop out of any combination with the set:

==================  ==================  ==========================
left                right               support of the combination
==================  ==================  ==========================
no default          no default          intersection
default             no default          the right support
no default          default             the left support
default             default             union
==================  ==================  ==========================

Scores are float32. Division by zero, the logarithm of a non-positive number and overflow have their IEEE 754 results:
infinities, and NaN, which `$max` and `$min` ignore if the other operand is a number.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.int64]
Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class KnnHits:
    """The hits of a $knn: distinct records, nearest first, and their distances."""

    records: Records
    distances: Scores


@dataclass(frozen=True, slots=True)
class ScoreSet:
    """Scores of some records; `records` ascend."""

    records: Records
    scores: Scores
    default: np.float32 | None = None

    def scores_of(self, records: Records) -> Scores | np.float32:
        """The score of each of the records (ascending), which are in the support unless there is a default.

        A single number, the default, where the support is empty.
        """
        if records is self.records:
            return self.scores
        if self.default is None:
            return self.scores[np.searchsorted(self.records, records)]
        if not len(self.records):
            return self.default
        positions = np.minimum(np.searchsorted(self.records, records), len(self.records) - 1)
        return np.where(self.records[positions] == records, self.scores[positions], self.default)


def constant(score: float) -> ScoreSet:
    """The same score for every record: an empty support and a default."""
    return ScoreSet(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), np.float32(score))


def from_hits(hits: KnnHits, default: float | None, *, by_rank: bool) -> ScoreSet:
    """The distances of the hits, or with `by_rank` their ranks, counted from 0."""
    scores = np.arange(len(hits.records), dtype=np.float32) if by_rank else hits.distances
    order = np.argsort(hits.records)
    return ScoreSet(hits.records[order], scores[order], None if default is None else np.float32(default))


def apply(score_set: ScoreSet, function: Callable[..., Scores]) -> ScoreSet:
    """A function of every score."""
    default = None if score_set.default is None else np.float32(function(score_set.default))
    return ScoreSet(score_set.records, function(score_set.scores), default)


def combine(left: ScoreSet, right: ScoreSet, operator: Callable[..., Scores]) -> ScoreSet:
    """An operator of the two scores of each record."""
    default = None
    if left.default is None and right.default is None:
        records = np.intersect1d(left.records, right.records, assume_unique=True)
    elif left.default is None:
        records = left.records
    elif right.default is None:
        records = right.records
    else:
        records = _union(left.records, right.records)
        default = np.float32(operator(left.default, right.default))
    if not len(records):
        return ScoreSet(records, np.empty(0, dtype=np.float32), default)
    return ScoreSet(records, operator(left.scores_of(records), right.scores_of(records)), default)


def _union(left: Records, right: Records) -> Records:
    if left is right or not len(right):
        return left
    return right if not len(left) else np.union1d(left, right)
