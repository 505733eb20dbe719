"""Reranking within a search: the first records of an expression, scored by a cross-encoder against a text.

1. Take the first `limit` records of the expression, in the order in which the search would return them.
2. Read their documents, within the size of a response; a record without one drops out.
3. Have the model score them. Greater is better for the model, smaller for an expression, so the score is negated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.read import ranked_rows
from afterglow.collection.read import rows as fetch
from afterglow.collection.read.explanation import RerankStep
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Include
from afterglow.ranking import KnnHits, Rerank, ScoreSet

Score = Callable[[str, Sequence[str]], NDArray[np.float32]]
"""How well each document answers a query: greater for a better answer."""


@dataclass(frozen=True, slots=True)
class Reranking:
    """Scores the records of one search in a snapshot; `queries` are the texts of its $rerank, by number.

    `steps` gets what was done.
    """

    snapshot: Snapshot
    queries: Sequence[str]
    score: Score
    max_bytes: int
    steps: list[RerankStep] = field(default_factory=list)

    def rescore(self, rank: Rerank, scored: ScoreSet) -> KnnHits:
        """The first records of a score set, best first. Raises InvalidArgument, Busy, Unavailable, ResponseTooLarge."""
        first = ranked_rows.in_order(self.snapshot, scored).take(slice(0, rank.limit))
        plan = fetch.plan(self.snapshot, first.groups, first.rows, frozenset({Include.DOCUMENTS}), self.max_bytes)
        documents = plan.read().documents or []
        indices = np.array([index for index, text in enumerate(documents) if text is not None], dtype=np.int64)
        scores = -self.score(self.queries[rank.number], [text for text in documents if text is not None])
        self.steps.append(RerankStep(rank.limit, len(scores)))
        order = np.argsort(scores, kind="stable")
        chosen = indices[order]
        return KnnHits(
            ranked_rows.bases(self.snapshot)[first.groups[chosen]] + first.rows[chosen],
            scores[order].astype(np.float32),
        )
