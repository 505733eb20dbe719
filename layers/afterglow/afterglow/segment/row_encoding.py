"""Encodes the rows of a new segment in the order of its lists, some at a time."""

from collections.abc import Callable, Iterator

import numpy as np

from afterglow.segment.array_file import ArrayStream
from afterglow.segment.binary_codes import Entries
from afterglow.segment.clustering import Clustering
from afterglow.segment.distance import Vectors
from afterglow.segment.lists import lists_of
from afterglow.storage.file_map import release_pages

_CHUNK_ROWS = 4_096

Encode = Callable[[Vectors, Vectors], Entries]
"""The entries (n, size) of rows with these residuals (n, w) and centroids (n, w)."""


def encoded_rows(
    clustering: Clustering, decoded: Vectors, vectors: Vectors, encode: Encode, entry_bytes: int
) -> ArrayStream:
    """The entries of all rows, u1 (n, entry_bytes).

    `vectors` (n, d) are mapped, `decoded` (l, w) are the centroids as they are stored.
    """
    return ArrayStream("|u1", (len(vectors), entry_bytes), _chunks(clustering, decoded, vectors, encode))


def _chunks(clustering: Clustering, decoded: Vectors, vectors: Vectors, encode: Encode) -> Iterator[Entries]:
    for start in range(0, len(vectors), _CHUNK_ROWS):
        rows = np.arange(start, min(start + _CHUNK_ROWS, len(vectors)))
        centroids = decoded[lists_of(clustering.starts, rows)]
        yield encode(clustering.projection.rows(vectors[rows]) - centroids, centroids)
        release_pages(vectors)
