"""Measures the breadth (ef) that the promised recall of a graph needs (`segment.breadth`)."""

from pathlib import Path

import numpy as np

from afterglow.segment import progress
from afterglow.segment.breadth import Breadth, Sample
from afterglow.segment.distance import Vectors
from afterglow.segment.hnsw import MAX_EF, HnswBuild, new_index, query_values, rescored
from afterglow.segment.precision import Rounding
from afterglow.segment.progress import OnShare

MEASURED_KS = (10, 100)
_EF_STEP = 2**0.5
_MIN_EF = 128
"""The sample is of rows in the graph, which a search finds more easily than what no row equals."""


def measure(
    path: Path,
    plan: HnswBuild,
    rounding: Rounding,
    vectors: Vectors,
    sample: Sample | None,
    *,
    on_share: OnShare = progress.ignore,
) -> Breadth:
    """The breadth (ef) with which the graph in `path` finds the promised share of the neighbours; at most 4,096.

    `vectors` (n, w) are those of the graph, `rounding` is what `build` returned; the `sample` has the true neighbours
    of some rows. The shares for `on_share` are those of a search with growing breadth up to the largest.
    """
    if sample is None:
        return Breadth(plan.recall, (1,), (float(_MIN_EF),))
    index = new_index(plan.parameters, vectors.shape[1], rounding)
    index.view(str(path))
    queries = query_values(plan.parameters.space, np.array(vectors[sample.rows]), rounding)
    ks = [k for k in sample.depths() if k in MEASURED_KS] or [sample.depths()[-1]]
    values = []
    ef = float(_MIN_EF)
    for number, k in enumerate(ks):
        ef = max(ef, 2.0 * k)
        while ef < MAX_EF:
            index.expansion_search = int(ef)  # type: ignore[misc]
            found = [index.search(query, min(int(ef), len(vectors)), threads=1).keys for query in queries]
            hits = [
                np.isin(near[:k], rows[: rescored(k)]).mean()
                for near, rows in zip(sample.neighbors, found, strict=True)
            ]
            on_share((number + ef / MAX_EF) / len(ks))
            if np.mean(hits) >= plan.recall:
                break
            ef = min(ef * _EF_STEP, MAX_EF)
        values.append(ef)
    return Breadth(plan.recall, tuple(ks), tuple(values))
