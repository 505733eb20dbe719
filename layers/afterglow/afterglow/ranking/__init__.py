"""Rank expressions: arithmetic over the scores of records.

::

    ast               the expression, independent of its JSON
    scores            ScoreSet: scores of some records, and optionally one default for all others; their combination
    evaluate          ast + the hits of each $knn → a ScoreSet
    sort_keys         metadata values as codes that sort and group like the values
    top_k_per_group   the k best records of each group
"""

from afterglow.ranking.ast import Rank, Rerank
from afterglow.ranking.evaluate import evaluate
from afterglow.ranking.scores import KnnHits, ScoreSet

__all__ = ["KnnHits", "Rank", "Rerank", "ScoreSet", "evaluate"]
