"""8-bit codes of rows without an index, by which a scan finds out quickly which rows may be among the k nearest.

A row x has a code c and a scale s, so that x = s c + r, and a query q = t e + u likewise. The product of the codes is
exact, and by Cauchy-Schwarz

    |q·x − s t (e·c)| ≤ |q| |r| + |u| |s c|,

about 1.5 % of |q| |x|. So each row has an estimated distance and a margin around it that its exact distance never
leaves. The k-th smallest upper end is a bound: a row whose lower end is above it is not among the k nearest. The caller
computes the exact distances of the others, so the answer is that of an exact search. Margins are computed for the few
rows that may count by the largest of them. The scans of several row groups
for one query share their bound (`ScanBound`): those after the first have few candidates.

A scan reads a quarter of the bytes of the vectors. Making the codes takes as long as several scans, so rows get them
with their third scan (`LazyScanCodes`): a container that answers one query does not make them. A server whose
collection is read makes those of a new segment before its reads use the segment, and those of new rows of a memtable
as it applies them. The codes of a memtable grow with it: some of its last rows may have none yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Self

import numkong
import numpy as np
from numpy.typing import NDArray

from afterglow.columns.arrays import GrowableArray
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.scaled_codes import encode

Rows = NDArray[np.int64]

_CHUNK_ROWS = 4_096
_EPSILON = np.float32(2.0**-24)
_SMALLEST_NORM, _LARGEST_NORM = np.float32(1e-24), np.float32(1e30)
"""Squared norms between which products in float32 neither vanish nor overflow."""
_SAMPLE_STEP, _FEW = 16, 8
_SCANS_BEFORE = 2
_MIN_ROWS = 2_048


class ScanBound:
    """The bound of the scans for one query, one after the other: `k` of the rows so far are at most so far away."""

    def __init__(self, k: int) -> None:
        self.value = np.float32(np.inf)
        self.k = k
        self._least = np.empty(0, dtype=np.float32)

    def lower(self, upper_ends: Vectors) -> None:
        """Count the rows whose distances are at most these."""
        nearer = upper_ends[upper_ends < self.value]
        if not self.k or not len(nearer):
            return
        least = np.concatenate([self._least, nearer])
        if len(least) >= self.k:
            least = np.partition(least, self.k - 1)[: self.k]
            self.value = least[-1]
        self._least = least


@dataclass(frozen=True, slots=True)
class _Query:
    """A query (d,) in codes: int8 (1, d), their scale, its squared norm and length, the norm of what the codes lack."""

    code: NDArray[np.int8]
    scale: np.float32
    norm: np.float32
    length: np.float32
    rest: np.float32
    rounding: np.float32
    """What float32 rounds in any of the terms, and what the exact distance is rounded by, relatively."""

    @classmethod
    def of(cls, query: Vectors) -> Self | None:
        """None: its norm is too small or too large."""
        norm = np.float32(query @ query)
        if not _SMALLEST_NORM < norm < _LARGEST_NORM:
            return None
        code, scales = encode(query[np.newaxis])
        rest, length = query - code[0] * scales[0], np.sqrt(norm)
        query_rest = np.sqrt(rest @ rest) + 4 * _EPSILON * np.float32(len(query)) * length
        return cls(code, scales[0], norm, length, query_rest, np.float32(16 + 4 * len(query)) * _EPSILON)

    def estimates(self, space: Space, products: Vectors, norms: Vectors, lengths: Vectors) -> Vectors:
        """The distances (n,) of rows with these products."""
        if space is Space.L2:
            distances = 2 * products
            np.subtract(norms, distances, out=distances)
            distances += self.norm
            return distances
        if space is Space.IP:
            return 1 - products
        return 1 - products * self._scaled(lengths)

    def margins(self, space: Space, rests: Vectors, lengths: Vectors) -> Vectors:
        """How far the distances (n,) are from their estimates at most: more for a larger rest, and a larger length."""
        margins = self.length * rests
        margins += self.rest * (lengths + rests)
        if space is Space.L2:
            margins *= 2
            margins += self.rounding * (self.length + lengths) ** 2
        elif space is Space.IP:
            margins += self.rounding * (1 + self.length * lengths)
        else:
            margins *= self._scaled(lengths)
            margins += 2 * self.rounding
        return margins

    def _scaled(self, lengths: Vectors) -> Vectors:
        scaled: Vectors = np.divide(np.float32(1), self.length * lengths, out=np.zeros_like(lengths), where=lengths > 0)
        return scaled


@dataclass(frozen=True, slots=True)
class ScanCodes:
    """The codes of n rows: int8 (n, d); scales, norms and norms of what the code leaves out, float32 (n,).

    `norms` are squared, `lengths` their roots. `worst` float32 (3,): no rest, no length, and no rest in relation to its
    length is larger.
    """

    codes: NDArray[np.int8]
    scales: Vectors
    rests: Vectors
    norms: Vectors
    lengths: Vectors
    worst: Vectors

    @classmethod
    def of(cls, vectors: Vectors, norms: Vectors) -> Self:
        """The codes of vectors (n, d) with these squared norms; see `have_codes`."""
        codes = np.empty(vectors.shape, dtype=np.int8)
        scales, rests = np.empty((2, len(vectors)), dtype=np.float32)
        for start in range(0, len(vectors), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            codes[part], scales[part] = encode(vectors[part])
            rest = vectors[part] - codes[part] * scales[part, np.newaxis]
            rests[part] = np.sqrt(np.einsum("ij,ij->i", rest, rest))
        lengths = np.sqrt(norms)
        # The rest is computed with the rounding of a product and of a difference.
        rests += 4 * _EPSILON * np.float32(vectors.shape[1]) * lengths
        ratios = np.divide(rests, lengths, out=np.zeros_like(rests), where=lengths > 0)
        worst = np.array([array.max(initial=0) for array in (rests, lengths, ratios)], dtype=np.float32)
        return cls(codes, scales, rests, norms, lengths, worst)

    @staticmethod
    def from_arrays(arrays: Sequence[NDArray[Any]], worst: Vectors) -> "ScanCodes":
        """The codes of these `arrays`."""
        codes, scales, rests, norms, lengths = arrays
        return ScanCodes(codes, scales, rests, norms, lengths, worst)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.codes)

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The arrays of all rows, in the order of the fields."""
        return self.codes, self.scales, self.rests, self.norms, self.lengths

    def first(self, count: int) -> "ScanCodes":
        """The codes of the first `count` rows, or of all if there are fewer."""
        return (
            self if count >= self.rows else ScanCodes.from_arrays([array[:count] for array in self.arrays], self.worst)
        )

    def possible(self, space: Space, query: Vectors, rows: Rows | None, bound: ScanBound) -> Rows | None:
        """The numbers of those of `rows` (None: of all) that may be among the k nearest to a query (d,), by the bound.

        Those numbers are places in `rows` if there are any. Lowers the bound first. None: the query's norm is too small
        or too large.
        """
        coded = _Query.of(query)
        if coded is None:
            return None
        scales, rests, lengths, norms = self.scales, self.rests, self.lengths, self.norms
        if rows is None:
            dots = np.asarray(numkong.cdist(coded.code, self.codes, "dot"))[0]
        else:
            dots = np.empty(len(rows), dtype=np.float64)
            for start in range(0, len(rows), _CHUNK_ROWS):
                gathered = self.codes[rows[start : start + _CHUNK_ROWS]]
                dots[start : start + _CHUNK_ROWS] = np.asarray(numkong.cdist(coded.code, gathered, "dot"))[0]
            scales, rests, lengths, norms = scales[rows], rests[rows], lengths[rows], norms[rows]
        products = dots.astype(np.float32)
        products *= scales * coded.scale
        estimates = coded.estimates(space, products, norms, lengths)
        near = self._near(space, coded, estimates, bound)
        if near is not None:
            estimates, rests, lengths = estimates[near], rests[near], lengths[near]
        margins = coded.margins(space, rests, lengths)
        bound.lower(estimates + margins)
        found = np.flatnonzero(estimates - margins <= bound.value)
        return found if near is None else near[found]

    def _near(self, space: Space, query: _Query, estimates: Vectors, bound: ScanBound) -> Rows | None:
        """The rows that may count by the largest margin of all; None if these are not few.

        The k-th nearest by estimates of some of the rows is at least as far as the k-th nearest of all. So the bound
        will be at most that and a margin, and a row that counts, or lowers it, at most one more.
        """
        sample = estimates[::_SAMPLE_STEP]
        if not 0 < bound.k <= len(sample):
            return None
        rest, length, ratio = self.worst
        if space is Space.COSINE:
            rest, length = ratio, np.float32(1)
        (margin,) = np.float32(1 + 2.0**-16) * query.margins(space, np.array([rest]), np.array([length]))
        last = min(np.partition(sample, bound.k - 1)[bound.k - 1] + margin, bound.value) + margin
        near = np.flatnonzero(estimates <= last)
        return near if _FEW * len(near) <= len(estimates) else None


class LazyScanCodes:
    """The codes of a row group once it has been scanned often enough. Safe for any number of threads.

    Rows may be added at the group's end. Codes never change: those of later rows follow them.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._scans = 0
        self._codes: ScanCodes | None = None
        self._arrays: tuple[GrowableArray, ...] = ()

    @property
    def byte_size(self) -> int:
        """The bytes of the codes."""
        codes = self._codes
        return 0 if codes is None else sum(array.nbytes for array in codes.arrays)

    def at_scan(self, vectors: Vectors, norms: Vectors) -> ScanCodes | None:
        """The codes of the first of these rows for one more scan of them; None: scan the vectors."""
        if len(norms) - self._count() >= _MIN_ROWS:
            self._scans += 1
            if self._scans > _SCANS_BEFORE:
                self.make(vectors, norms)
        return None if self._codes is None else self._codes.first(len(norms))

    def make(self, vectors: Vectors, norms: Vectors) -> None:
        """Make the codes that are missing now, unless another thread is making them, or these rows have none."""
        if len(norms) - self._count() >= _MIN_ROWS and self._lock.acquire(blocking=False):
            try:
                start = self._count()
                if have_codes(vectors[start:], norms[start:]):
                    self._extend(ScanCodes.of(vectors[start:], norms[start:]))
            finally:
                self._lock.release()

    def _count(self) -> int:
        return 0 if self._codes is None else self._codes.rows

    def _extend(self, new: ScanCodes) -> None:
        if self._codes is None:
            self._codes = new
        else:
            if not self._arrays:
                self._arrays = tuple(GrowableArray(part.dtype, item_shape=part.shape[1:]) for part in new.arrays)
                self._append(self._codes)
            self._append(new)
            worst = np.maximum(self._codes.worst, new.worst)
            self._codes = ScanCodes.from_arrays([array.snapshot() for array in self._arrays], worst)
        self._scans = 0

    def _append(self, codes: ScanCodes) -> None:
        for array, part in zip(self._arrays, codes.arrays, strict=True):
            array.extend(part)


def have_codes(vectors: Vectors, norms: Vectors) -> bool:
    """Whether these rows have codes: they are not few, and each is 0 or has a norm that float32 computes well."""
    if len(norms) < _MIN_ROWS:
        return False
    is_usual = (norms > _SMALLEST_NORM) & (norms < _LARGEST_NORM)
    return bool(is_usual.all()) or not vectors[~is_usual].any()
