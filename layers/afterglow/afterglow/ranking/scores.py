"""Domains: which records have which score while an expression is evaluated.

A domain gives some records, its *support*, a score each. Its default, where it has one, is the score of every other
record; without one, other records drop out of whatever the domain is combined with:

==================  ==================  ==========================
left                right               support of the combination
==================  ==================  ==========================
no default          no default          what both support
default             no default          what the right supports
no default          default             what the left supports
default             default             what either supports
==================  ==================  ==========================

Scores are float32. Division by zero, the logarithm of what is not positive and overflow have their IEEE answers:
infinities, and NaN, which `$max` and `$min` pass over where there is a number beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.int64]
Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class KnnHits:
    """What a $knn found: distinct records, nearest first, and their distances."""

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

        One number where all have it for want of a support.
        """
        if records is self.records:
            return self.scores
        if self.default is None:
            return self.scores[np.searchsorted(self.records, records)]
        if not len(self.records):
            return self.default
        at = np.minimum(np.searchsorted(self.records, records), len(self.records) - 1)
        return np.where(self.records[at] == records, self.scores[at], self.default)


def constant(score: float) -> ScoreSet:
    """The same score for every record, and no support."""
    return ScoreSet(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), np.float32(score))


def of_found(found: KnnHits, default: float | None, *, by_rank: bool) -> ScoreSet:
    """The distances of what was found, or with `by_rank` its places, counted from 0."""
    scores = np.arange(len(found.records), dtype=np.float32) if by_rank else found.distances
    order = np.argsort(found.records)
    return ScoreSet(found.records[order], scores[order], None if default is None else np.float32(default))


def apply(domain: ScoreSet, function: Callable[..., Scores]) -> ScoreSet:
    """A function of every score."""
    default = None if domain.default is None else np.float32(function(domain.default))
    return ScoreSet(domain.records, function(domain.scores), default)


def combine(left: ScoreSet, right: ScoreSet, operator: Callable[..., Scores]) -> ScoreSet:
    """An operator of the scores that two domains give to one record."""
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
