"""8-bit codes of rows without an index, by which a scan finds out quickly which rows may be among the k nearest.

A row x has a code c and a scale s, so that x = s c + r, and a query q = t e + u likewise. The product of the codes is
exact, and by Cauchy-Schwarz

    |q·x − s t (e·c)| ≤ |q| |r| + |u| |s c|,

about 1.5 % of |q| |x|. So each row has an estimated distance and a margin around it that its exact distance never
leaves. The k-th smallest upper end is a bound: a row whose lower end is above it is not among the k nearest. The caller
computes the exact distances of the others, so the answer is that of an exact search. The scans of several row groups
for one query share their bound (`ScanBound`): those after the first have few candidates.

A scan reads a quarter of the bytes of the vectors. Making the codes takes as long as several scans, so rows get them
with their third scan (`LazyScanCodes`): a container that answers one query does not make them. A server whose
collection is read makes those of a new segment before its reads use the segment, and those of new rows of a memtable
as it applies them. The codes of a memtable grow with it: some of its last rows may have none yet.
"""

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
_SCANS_BEFORE = 2
_MIN_ROWS = 2_048


class ScanBound:
    """The bound of the scans for one query, one after the other: `k` of the rows so far are at most so far away."""

    def __init__(self, k: int) -> None:
        self.value = np.float32(np.inf)
        self._k = k
        self._least = np.empty(0, dtype=np.float32)

    def lower(self, upper_ends: Vectors) -> None:
        """Count the rows whose distances are at most these."""
        nearer = upper_ends[upper_ends < self.value]
        if not self._k or not len(nearer):
            return
        least = np.concatenate([self._least, nearer])
        if len(least) >= self._k:
            least = np.partition(least, self._k - 1)[: self._k]
            self.value = least[-1]
        self._least = least


@dataclass(frozen=True, slots=True)
class ScanCodes:
    """The codes of n rows: int8 (n, d); scales, norms and norms of what the code leaves out, float32 (n,).

    `norms` are squared, `lengths` their roots.
    """

    codes: NDArray[np.int8]
    scales: Vectors
    rests: Vectors
    norms: Vectors
    lengths: Vectors

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
        return cls(codes, scales, rests, norms, lengths)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.codes)

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All arrays, in the order of the fields."""
        return self.codes, self.scales, self.rests, self.norms, self.lengths

    def first(self, count: int) -> "ScanCodes":
        """The codes of the first `count` rows, or of all if there are fewer."""
        return self if count >= self.rows else ScanCodes(*(array[:count] for array in self.arrays))

    def possible(self, space: Space, query: Vectors, rows: Rows | None, bound: ScanBound) -> Rows | None:
        """The numbers of those of `rows` (None: of all) that may be among the k nearest to a query (d,), by the bound.

        Those numbers are places in `rows` if there are any. Lowers the bound first. None: the query's norm is too small
        or too large.
        """
        norm = np.float32(query @ query)
        if not _SMALLEST_NORM < norm < _LARGEST_NORM:
            return None
        code, scale = encode(query[np.newaxis])
        rest = query - code[0] * scale[0]
        length = np.sqrt(norm)
        query_rest = np.sqrt(rest @ rest) + 4 * _EPSILON * np.float32(len(query)) * length
        scales, rests, lengths, norms = self.scales, self.rests, self.lengths, self.norms
        if rows is None:
            dots = np.asarray(numkong.cdist(code, self.codes, "dot"))[0]
        else:
            dots = np.empty(len(rows), dtype=np.float64)
            for start in range(0, len(rows), _CHUNK_ROWS):
                gathered = self.codes[rows[start : start + _CHUNK_ROWS]]
                dots[start : start + _CHUNK_ROWS] = np.asarray(numkong.cdist(code, gathered, "dot"))[0]
            scales, rests, lengths, norms = scales[rows], rests[rows], lengths[rows], norms[rows]
        products = dots.astype(np.float32)
        products *= scales * scale[0]
        # What float32 rounds in any of the terms, and what the exact distance is rounded by.
        rounding = np.float32(16 + 4 * len(query)) * _EPSILON
        margins = length * rests
        margins += query_rest * (lengths + rests)
        if space is Space.L2:
            margins *= 2
            margins += rounding * (length + lengths) ** 2
            estimates = norms - 2 * products + norm
        elif space is Space.IP:
            margins += rounding * (1 + length * lengths)
            estimates = 1 - products
        else:
            scaled = np.divide(np.float32(1), length * lengths, out=np.zeros_like(lengths), where=lengths > 0)
            margins *= scaled
            margins += 2 * rounding
            estimates = 1 - products * scaled
        bound.lower(estimates + margins)
        return np.flatnonzero(estimates - margins <= bound.value)


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
            self._codes = ScanCodes(*(array.snapshot() for array in self._arrays))
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
