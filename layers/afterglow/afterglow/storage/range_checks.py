"""Checks of byte ranges: their bounds, and their checksums (xxh3-64)."""

import numpy as np
import xxhash
from numpy.typing import NDArray

from afterglow.errors import InternalError
from afterglow.storage.ports import Bytes, Ranges


def checksums(data: Bytes, offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The checksum of each range of `data`: uint64, shape (n,)."""
    view = data.data
    spans = zip(offsets.tolist(), (offsets + lengths).tolist(), strict=True)
    return np.array([xxhash.xxh3_64_intdigest(view[start:stop]) for start, stop in spans], dtype=np.uint64)


def damaged(data: Bytes, ranges: Ranges, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The offsets of the `chosen` ranges whose bytes do not match their checksum; without checksums none."""
    if ranges.checksums is None or not chosen.any():
        return np.empty(0, dtype=np.int64)
    offsets: NDArray[np.int64] = ranges.offsets[chosen]
    found = checksums(data, offsets, ranges.lengths[chosen])
    broken: NDArray[np.bool_] = found != ranges.checksums[chosen]
    return offsets[broken]


def require_within(key: str, size: int, ranges: Ranges) -> None:
    """Raise InternalError if a range is not within the file."""
    if len(ranges.offsets) and (
        int(ranges.offsets.min()) < 0
        or int(ranges.lengths.min()) < 0
        or int((ranges.offsets + ranges.lengths).max()) > size
    ):
        raise InternalError(f"a range of {key} is outside of its {size} bytes")
