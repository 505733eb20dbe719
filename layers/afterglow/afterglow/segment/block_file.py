"""A file of arrays that is read by ranges: every block of `block_bytes` bytes has a checksum, so any part is verified.

The checksums and the file's layout are in the root file `contents` (`segment.contents`). A range of items is read as
the blocks that cover it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from afterglow.columns.arrays import slice_indices
from afterglow.errors import Corrupt
from afterglow.segment.array_file import RESTORE_HINT, FileRef, Layout
from afterglow.segment.rounds import Request
from afterglow.storage.ports import Bytes, Objects, Ranges

_Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Slices:
    """Items `starts[i]` … `stops[i]` − 1 along the first axis of the array `name`, int64 (n,)."""

    name: str
    starts: _Numbers
    stops: _Numbers

    @staticmethod
    def of(name: str, start: int, stop: int) -> "Slices":
        """One slice."""
        return Slices(name, np.array([start]), np.array([stop]))


def checksums(path: Path, block_bytes: int) -> NDArray[np.uint64]:
    """The xxh3-64 of each block of a file; the last may be shorter."""
    with path.open("rb") as file:
        sums = [xxhash.xxh3_64_intdigest(block) for block in iter(lambda: file.read(block_bytes), b"")]
    return np.array(sums, dtype=np.uint64)


class BlockFile:
    """Safe for any number of threads: it holds no bytes, a caller keeps the answers to its own requests."""

    def __init__(
        self, objects: Objects, file: FileRef, layout: Layout, block_bytes: int, sums: NDArray[np.uint64]
    ) -> None:
        """Raises Corrupt if the blocks or the arrays do not match the file's size; ObjectNotFound of a local store."""
        ends = [start + count * size for start, count, size in map(layout.span, layout.arrays)]
        if block_bytes < 1 or len(sums) != -(-file.size // block_bytes) or max(ends, default=0) > file.size:
            raise Corrupt(f"{file.key} has {file.size} bytes, which does not match its segment; {RESTORE_HINT}")
        self.key = file.key
        self.layout = layout
        self._sums = sums
        self._block_bytes = block_bytes
        self._file = objects.lazy(file.key, file.size)

    def count(self, name: str) -> int:
        """The number of items of an array."""
        return self.layout.span(name)[1]

    def request(self, slices: Sequence[Slices]) -> Request:
        """The blocks that cover these items."""
        blocks = [np.empty(0, dtype=np.int64)]
        for part in slices:
            start, _, size = self.layout.span(part.name)
            filled = np.flatnonzero(part.stops > part.starts)
            first = (start + part.starts[filled] * size) // self._block_bytes
            last = (start + part.stops[filled] * size - 1) // self._block_bytes
            blocks.append(slice_indices(first, last - first + 1)[0])
        numbers = np.unique(np.concatenate(blocks))
        offsets = numbers * self._block_bytes
        lengths = np.minimum(self._block_bytes, self._file.size - offsets)
        return self._file, Ranges(offsets, lengths, self._sums[numbers])

    def request_whole(self, names: Sequence[str]) -> Request:
        """The blocks that cover these arrays."""
        return self.request([Slices.of(name, 0, self.count(name)) for name in names])

    def array(self, data: Bytes, name: str) -> NDArray[Any]:
        """An array as a view of the answer to a request; only what was requested is present."""
        return self.layout.array(data.data, name)
