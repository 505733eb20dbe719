"""Array helpers: the index arithmetic that gathers many slices of one array at once, and arrays that grow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def slice_indices(
    starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The indices of all slices [start, start + length), concatenated, and the offset of each slice in them (n + 1)."""
    offsets = np.zeros(len(starts) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    indices = np.arange(offsets[-1], dtype=np.int64)
    indices += np.repeat(starts - offsets[:-1], lengths)
    return indices, offsets.view(np.uint64)


class GrowableArray:
    """An array that grows at its end, in amortised constant time per item; items may be arrays of `item_shape`.

    A slice returned by `snapshot` is never written again: growth either writes after it or moves to a new array.
    """

    __slots__ = ("_array", "_length")

    def __init__(self, dtype: Any, capacity: int = 4, item_shape: tuple[int, ...] = ()) -> None:
        self._array: NDArray[Any] = np.empty((capacity, *item_shape), dtype=dtype)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def extend(self, items: Any) -> None:
        """Append a sequence or array of items."""
        end = self._length + len(items)
        if end > len(self._array):
            shape = (max(end, 2 * len(self._array)), *self._array.shape[1:])
            larger = np.empty(shape, dtype=self._array.dtype)
            larger[: self._length] = self._array[: self._length]
            self._array = larger
        self._array[self._length : end] = items
        self._length = end

    def snapshot(self) -> NDArray[Any]:
        """All items appended so far, without a copy."""
        return self._array[: self._length]
