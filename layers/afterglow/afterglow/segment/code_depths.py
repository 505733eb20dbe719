"""How deep the nearest rows lie in the order of estimated distances; measured when a segment is built.

A search that ranks rows by small codes goes on with the best of them. How many, is the depth that holds the promised
share of the nearest rows in a sample of the segment, as if a filter had chosen the sample.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.segment import distance
from afterglow.segment.binary_codes import BinaryQuery, Entries
from afterglow.segment.breadth import least_sufficient
from afterglow.segment.distance import Vectors
from afterglow.segment.lists import lists_of
from afterglow.segment.precision import golden_sample
from afterglow.segment.projection import Projection
from afterglow.storage.file_map import release_pages

_SAMPLE_ROWS, _SAMPLE_QUERIES = 16_384, 64

Rows = NDArray[np.int64]
Estimates = Callable[[BinaryQuery, Entries, Vectors], Vectors]
"""Estimated squared distances (m,) of entries to a query, from its squared distances (m,) to their centroids."""


@dataclass(frozen=True, slots=True)
class CodedRows:
    """The rows of a new segment: `vectors` (n, d) with squared `norms`, their `entries`, and the lists' `starts`.

    `centroids` (l, w) are in the projected space, and what `estimates` ranks the entries by.
    """

    vectors: Vectors
    norms: Vectors
    entries: Entries
    starts: Rows
    centroids: Vectors
    projection: Projection
    estimates: Estimates


def depths(rows: CodedRows, ks: Sequence[int], share: float) -> list[float]:
    """For each k how many rows by estimated distance hold this share of the k nearest, at least as many as these.

    Rows of the sample serve as queries; a query's own row is left out.
    """
    sample = golden_sample(len(rows.vectors), _SAMPLE_ROWS)
    counts = [min(k, len(sample) - 1) for k in ks]
    if min(counts) < 1:
        return [1.0] * len(ks)
    vectors, norms = np.array(rows.vectors[sample]), rows.norms[sample]
    release_pages(rows.vectors)
    entries, lists = rows.entries[sample], lists_of(rows.starts, sample)
    needed: list[list[Rows]] = [[] for _ in ks]
    for number in golden_sample(len(sample), _SAMPLE_QUERIES).tolist():
        exact = distance.fast_distances(rows.projection.space, vectors, norms, vectors[number])
        projected = rows.projection.query(vectors[number])
        to_lists = distance.squared_norms(rows.centroids[lists] - projected)
        estimated = rows.estimates(BinaryQuery.of(projected), entries, to_lists)
        exact[number] = estimated[number] = np.inf
        ordered = np.sort(estimated)
        for count, found in zip(counts, needed, strict=True):
            nearest = np.argpartition(exact, count - 1)[:count]
            # Rows that are equally far from the query may take each other's place.
            found.append(np.searchsorted(ordered, np.sort(estimated[nearest]), side="left") + 1)
    measured = [
        max(least_sufficient(np.concatenate(found), share), float(count))
        for count, found in zip(counts, needed, strict=True)
    ]
    ascending: list[float] = np.maximum.accumulate(measured).tolist()
    return ascending
