"""Tie-aware recall: a returned record counts when its exact distance reaches that of the k-th best."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.corpus import Corpus
from tests.support.distances import pairwise_squared_l2

TOLERANCE = 2e-6
"""Squared distances that differ by less are ties: float32 sums of unit vectors carry errors of this size."""


def needles(corpus: Corpus, number: int) -> list[str]:
    """Words of the documents, from rare to common: `number` of them at even steps of log(document frequency)."""
    frequency: dict[str, int] = {}
    for document in corpus.documents:
        for word in set(document.replace("\n", " ").split(" ")):
            if word.isalpha() and 4 <= len(word) <= 16:
                frequency[word] = frequency.get(word, 0) + 1
    ordered = sorted(frequency.items(), key=lambda item: (item[1], item[0]))
    counts = np.log([count for _, count in ordered])
    indices = np.searchsorted(counts, np.linspace(counts[0], counts[-1], number))
    words: list[str] = []
    for first in indices:
        index = int(first)
        while ordered[index][0] in words and index + 1 < len(ordered):
            index += 1
        words.append(ordered[index][0])
    return words


class GroundTruth:
    """Exact squared distances of a corpus to its queries, block by block, to compute recall."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._squared_norms = np.einsum("ij,ij->i", corpus.embeddings, corpus.embeddings)

    def recall(
        self,
        queries: Sequence[int],
        answers: Sequence[Sequence[str]],
        masks: Sequence[NDArray[np.bool_] | None],
        k: int = 10,
    ) -> float:
        """Mean recall@k of `answers[i]` (ids) to query row `queries[i]` among the rows that `masks[i]` allows."""
        corpus = self._corpus
        recalls: list[float] = []
        for start in range(0, len(queries), 64):
            rows = list(queries[start : start + 64])
            block = pairwise_squared_l2(corpus.queries[rows], corpus.embeddings, self._squared_norms)
            for offset, distances in enumerate(block):
                mask = masks[start + offset]
                allowed = distances if mask is None else np.where(mask, distances, np.inf)
                reachable = min(k, int(np.isfinite(allowed).sum()))
                ids = answers[start + offset]
                if reachable == 0:
                    recalls.append(1.0 if not ids else 0.0)
                    continue
                worst = np.partition(allowed, reachable - 1)[reachable - 1] + TOLERANCE
                correct = {record_id for record_id in ids if allowed[corpus.row_of[record_id]] <= worst}
                recalls.append(min(len(correct), reachable) / reachable)
        return float(np.mean(recalls))
