"""Binary codes of a clustered segment: one bit for each component of a row, for searches that probe many lists.

The file `binary_codes` has an entry for each row, in the order of the lists, and is read by blocks::

    binary_codes   u1 (n, 8 + w / 8, padded to 8):  base f4 · factor f4 · bits u1

With the residual r = row − centroid, the signs s of its components (+1 or −1), and f = |r|² / Σ|rᵢ|, the product of r
with any vector v is about f (s·v); it is exact for v = r (Gao & Long 2024, RaBitQ, without the rotation). So

    |q − x|² = |q − c|² + |r|² − 2 r·(q − c) ≈ |q − c|² + base − factor (s·q)
    base = |r|² + 2 f (s·c), factor = 2 f

The query has 4 bits for each component, as four planes of bits, so a product is a few counts of bits. The order
by these estimates is rough, but the true neighbours are nearly always among the first hundred or so
(`segment.code_depths`): only the lists with one of these are read (`collection.read.shortlist`).
"""

from dataclasses import dataclass

import numkong
import numpy as np
from numpy.typing import NDArray

from afterglow.segment import distance
from afterglow.segment.distance import Vectors
from afterglow.segment.lists import field

BINARY_CODES = "binary_codes"
_BASE, _FACTOR, _HEADER_BYTES = 0, 4, 8
_PLANES = 4
_LEVELS = 2**_PLANES - 1

Entries = NDArray[np.uint8]


def sign_bytes(width: int) -> int:
    """The size of one bit for each component."""
    return 8 * -(-width // 64)


def entry_bytes(width: int) -> int:
    """The size of an entry."""
    return _HEADER_BYTES + sign_bytes(width)


def pack_signs(is_positive: NDArray[np.bool_]) -> Entries:
    """The bits (n, sign_bytes) of signs (n, w)."""
    bits = np.packbits(is_positive, axis=1)
    return np.pad(bits, ((0, 0), (0, sign_bytes(is_positive.shape[1]) - bits.shape[1])))


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
    entries[:, _HEADER_BYTES:] = pack_signs(is_positive)
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
        bits = pack_signs((levels >> np.arange(_PLANES, dtype=np.uint8)[:, np.newaxis]) & 1 == 1)
        planes = np.concatenate([bits, np.zeros_like(bits[:1])])
        # The positive components of s alone: s·q = 2 Σ q − total, and for each plane 2 |s ∧ p| = |s| + |p| − |s ⊕ p|.
        # The total is that of the rounded query, low × w + Σ values |p|, so the rounding errors of both signs cancel.
        values = step * 2.0 ** np.arange(_PLANES)
        weights = np.append(-values, 2 * low + values.sum())
        return BinaryQuery(numkong.hammings_pack(planes), weights.astype(np.float32), np.float32(-low * len(query)))

    def products(self, bits: Entries) -> Vectors:
        """s·q (m,) for the signs s in bits (m, sign_bytes); bits after the last component are zeros."""
        different = np.asarray(numkong.hammings_packed(bits, self.planes)).T
        # OpenBLAS raises the flag of an invalid operation now and then for matrices of five columns.
        result: Vectors = np.einsum("pm,p->m", different.astype(np.float32, order="C"), self.weights) + self.constant
        return result


def estimates(query: BinaryQuery, entries: Entries, centroid_distances: Vectors) -> Vectors:
    """The estimated squared distances (m,) of entries (m, entry_bytes), whose centroids are so far from the query."""
    products = query.products(entries[:, _HEADER_BYTES:])
    result: Vectors = centroid_distances + field(entries, _BASE, "<f4") - field(entries, _FACTOR, "<f4") * products
    return result
