"""Binary codes of a clustered segment: one bit for each component of a row, for searches that probe many lists.

The file `binary_codes` has an entry for each row, in the order of the lists, and is read by blocks::

    binary_codes   u1 (n, 8 + w / 8, padded to 8):  base f4 · factor f4 · bits u1

With the residual r = row − centroid, the signs s of its components (+1 or −1), and f = |r|² / Σ|rᵢ|, the product of r
with any vector v is about f (s·v); it is exact for v = r (Gao & Long 2024, RaBitQ, without the rotation). So

    |q − x|² = |q − c|² + |r|² − 2 r·(q − c) ≈ |q − c|² + base − factor (s·q)
    base = |r|² + 2 f (s·c), factor = 2 f

The query has 4 bits for each component, as four planes of bits, so a product is a few counts of bits. The order
by these estimates is rough, but the true neighbours are nearly always among the first hundred or so (`depths`): only
the lists with one of these are read (`collection.read.shortlist`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numkong
import numpy as np
from numpy.typing import NDArray

from afterglow.segment import array_file, distance
from afterglow.segment.array_file import ArrayStream
from afterglow.segment.breadth import least_sufficient
from afterglow.segment.clustering import Clustering
from afterglow.segment.distance import Vectors
from afterglow.segment.lists import field, lists_of
from afterglow.segment.precision import golden_sample
from afterglow.segment.projection import Projection
from afterglow.storage.file_map import release_pages

BINARY_CODES = "binary_codes"
_BASE, _FACTOR, _HEADER_BYTES = 0, 4, 8
_PLANES = 4
_LEVELS = 2**_PLANES - 1
_CHUNK_ROWS = 4_096
_SAMPLE_ROWS, _SAMPLE_QUERIES = 16_384, 64

Rows = NDArray[np.int64]
Entries = NDArray[np.uint8]


def entry_bytes(width: int) -> int:
    """The size of an entry."""
    return _HEADER_BYTES + 8 * -(-width // 64)


def encode(residuals: Vectors, centroids: Vectors) -> Entries:
    """The entries, (n, entry_bytes), of rows with these residuals (n, w); `centroids` (n, w) or (1, w) are theirs."""
    is_positive = residuals > 0
    signs = np.where(is_positive, np.float32(1), np.float32(-1))
    norms = distance.squared_norms(residuals)
    sums = np.abs(residuals).sum(axis=1)
    factors = 2 * np.divide(norms, sums, out=np.zeros_like(norms), where=sums > 0)
    entries = np.zeros((len(residuals), entry_bytes(residuals.shape[1])), dtype=np.uint8)
    field(entries, _BASE, "<f4")[:] = norms + factors * (signs * centroids).sum(axis=1)
    field(entries, _FACTOR, "<f4")[:] = factors
    bits = np.packbits(is_positive, axis=1)
    entries[:, _HEADER_BYTES : _HEADER_BYTES + bits.shape[1]] = bits
    return entries


@dataclass(frozen=True, slots=True)
class BinaryQuery:
    """A query in 4 bits for each component: q ≈ low + step × level.

    The numbers of bits in which a row's signs differ from `planes`, the bits of the levels and then zeros, times
    `weights` float32 (5,), plus `constant`, are s·q.
    """

    planes: numkong.PackedMatrix
    weights: Vectors
    constant: np.float32

    @staticmethod
    def of(query: Vectors) -> "BinaryQuery":
        """The query (w,) in the projected space."""
        low = float(query.min())
        step = (float(query.max()) - low) / _LEVELS or 1.0
        levels = np.rint((query - np.float32(low)) / np.float32(step)).astype(np.uint8)
        planes = np.zeros((_PLANES + 1, entry_bytes(len(query)) - _HEADER_BYTES), dtype=np.uint8)
        bits = np.packbits((levels >> np.arange(_PLANES, dtype=np.uint8)[:, np.newaxis]) & 1, axis=1)
        planes[:_PLANES, : bits.shape[1]] = bits
        # The positive components of s alone: s·q = 2 Σ q − total, and for each plane 2 |s ∧ p| = |s| + |p| − |s ⊕ p|.
        values = step * 2.0 ** np.arange(_PLANES)
        weights = np.append(-values, 2 * low + values.sum())
        constant = values @ np.bitwise_count(bits).sum(axis=1) - float(query.sum())
        return BinaryQuery(numkong.hammings_pack(planes), weights.astype(np.float32), np.float32(constant))


def estimates(query: BinaryQuery, entries: Entries, centroid_distances: Vectors) -> Vectors:
    """The estimated squared distances (m,) of entries (m, entry_bytes), whose centroids are so far from the query."""
    different = np.asarray(numkong.hammings_packed(entries[:, _HEADER_BYTES:], query.planes)).T
    # OpenBLAS raises the flag of an invalid operation now and then for matrices of five columns.
    products = np.einsum("pm,p->m", different.astype(np.float32, order="C"), query.weights) + query.constant
    result: Vectors = centroid_distances + field(entries, _BASE, "<f4") - field(entries, _FACTOR, "<f4") * products
    return result


def write(path: Path, clustering: Clustering, decoded: Vectors, vectors: Vectors) -> str:
    """Write the file of rows in the order of the clustering; its checksum.

    `vectors` (n, d) are mapped, `decoded` (l, w) are the centroids as they are stored.
    """
    shape = len(vectors), entry_bytes(clustering.projection.width)
    chunks = _encode_rows(clustering, decoded, vectors)
    return array_file.write(path, BINARY_CODES, {}, {BINARY_CODES: ArrayStream("|u1", shape, chunks)})


def _encode_rows(clustering: Clustering, decoded: Vectors, vectors: Vectors) -> Iterator[Entries]:
    for start in range(0, len(vectors), _CHUNK_ROWS):
        rows = np.arange(start, min(start + _CHUNK_ROWS, len(vectors)))
        centroids = decoded[lists_of(clustering.starts, rows)]
        yield encode(clustering.projection.rows(vectors[rows]) - centroids, centroids)
        release_pages(vectors)


@dataclass(frozen=True, slots=True)
class CodedRows:
    """The rows of a new segment: `vectors` (n, d) with squared `norms`, their binary codes, and the lists' `starts`."""

    vectors: Vectors
    norms: Vectors
    entries: Entries
    starts: Rows
    centroids: Vectors
    projection: Projection


def depths(rows: CodedRows, ks: Sequence[int], share: float) -> list[float]:
    """For each k how many rows by estimated distance hold this share of the k nearest, at least as many as these.

    They are measured in a sample of the rows, as if a filter had chosen it. Rows of the sample serve as queries; a
    query's own row is left out.
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
        estimated = estimates(BinaryQuery.of(projected), entries, to_lists)
        exact[number] = estimated[number] = np.inf
        ordered = np.sort(estimated)
        for count, found in zip(counts, needed, strict=True):
            nearest = np.argpartition(exact, count - 1)[:count]
            # Rows that are equally far from the query may take each other's place.
            found.append(np.searchsorted(ordered, np.sort(estimated[nearest]), side="left") + 1)
    return [
        max(least_sufficient(np.concatenate(found), share), float(count))
        for count, found in zip(counts, needed, strict=True)
    ]
