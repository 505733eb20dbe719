"""Rank expressions: arithmetic over the scores of records.

::

    tree       the expression, free of its JSON
    domain     Domain: scores of some records, and perhaps one for all others; how two of them combine
    evaluate   tree + what each $knn found → a domain
    values     metadata values as numbers that sort and group as the values do
    grouping   the best few of each group
"""

from afterglow.ranking.ast import Rank
from afterglow.ranking.evaluate import evaluate
from afterglow.ranking.scores import KnnHits, ScoreSet

__all__ = ["KnnHits", "Rank", "ScoreSet", "evaluate"]
