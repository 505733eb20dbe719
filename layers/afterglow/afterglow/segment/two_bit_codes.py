"""Codes of two bits for each component of a residual: after a ranking by them few exact distances are needed.

An entry of a row, u1 (8 + w / 4, each half padded to 8), is

    base f4 · factor f4 · bits u1 of the high signs · bits u1 of the low signs

With high and low, +1 or −1 for each component, the code is s = 2 high + low: the levels −3, −1, 1 and 3, in units of
half a step. A step is the root mean square of the residual's components: for normally distributed ones the best uniform
step is 0.996 times that (Max 1960). As with one bit (`segment.binary_codes`), f = |r|² / r·s, and the product of the
residual r with any vector v is about f (s·v), exact for v = r:

    |q − x|² ≈ |q − c|² + base − factor (s·q),    base = |r|² + 2 f (s·c), factor = 2 f

The error is about half of that of one bit. So the true neighbours are among the first thirty or so, where one bit needs
two hundred.
"""

import numpy as np

from afterglow.segment import distance
from afterglow.segment.binary_codes import BinaryQuery, Entries, pack_signs, sign_bytes
from afterglow.segment.distance import Vectors
from afterglow.segment.lists import field

_BASE, _FACTOR, _HEADER_BYTES = 0, 4, 8


def entry_bytes(width: int) -> int:
    """The size of an entry."""
    return _HEADER_BYTES + 2 * sign_bytes(width)


def encode(residuals: Vectors, centroids: Vectors) -> Entries:
    """The entries, (n, entry_bytes), of rows with these residuals (n, w); `centroids` (n, w) or (1, w) are theirs."""
    norms = distance.squared_norms(residuals)
    is_positive = residuals > 0
    is_outer = np.abs(residuals) > np.sqrt(norms / np.float32(residuals.shape[1]))[:, np.newaxis]
    levels = np.where(is_outer, np.float32(3), np.float32(1))
    np.negative(levels, out=levels, where=~is_positive)
    products = np.einsum("ij,ij->i", residuals, levels)
    factors = 2 * np.divide(norms, products, out=np.zeros_like(norms), where=products > 0)
    entries = np.empty((len(residuals), entry_bytes(residuals.shape[1])), dtype=np.uint8)
    field(entries, _BASE, "<f4")[:] = norms + factors * (levels * centroids).sum(axis=1)
    field(entries, _FACTOR, "<f4")[:] = factors
    high, low = _halves(entries)
    high[:] = pack_signs(is_positive)
    low[:] = pack_signs(is_positive == is_outer)
    return entries


def estimates(query: BinaryQuery, entries: Entries, centroid_distances: Vectors) -> Vectors:
    """The estimated squared distances (m,) of entries (m, entry_bytes), whose centroids are so far from the query."""
    high, low = _halves(entries)
    products = 2 * query.products(high) + query.products(low)
    result: Vectors = centroid_distances + field(entries, _BASE, "<f4") - field(entries, _FACTOR, "<f4") * products
    return result


def _halves(entries: Entries) -> tuple[Entries, Entries]:
    """The bits of the high signs and those of the low ones."""
    size = (entries.shape[1] - _HEADER_BYTES) // 2
    return entries[:, _HEADER_BYTES : _HEADER_BYTES + size], entries[:, _HEADER_BYTES + size :]
