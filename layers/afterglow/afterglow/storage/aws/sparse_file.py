"""The local bytes of a remote file: a file of full length of which only some bytes have arrived.

::

    missing     undefined: a hole
    present     arrived as part of a span that was read; never changes
    verified    matched the checksum of a range

A sparse file belongs to one process. Readers hold its map through numpy arrays; when the last one is gone, the file is
closed and removed. So the cache makes room by forgetting a whole file, never by punching holes into it, and a file with
damaged bytes is replaced, never mended.
"""

import os
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afterglow.storage.aws.read_plan import Span
from afterglow.storage.file_map import call_at_end, map_file
from afterglow.storage.intervals import Intervals, Offsets
from afterglow.storage.ports import Ranges
from afterglow.storage.range_checks import damaged


class SparseFile:
    """Safe for any number of threads."""

    def __init__(self, descriptor: int, size: int, path: Path | None) -> None:
        """Takes over `descriptor` and the file `path`; without a path it is a complete copy, which stays."""
        self.is_copy = path is None
        self.etag: str | None = None
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._present = Intervals()
        self._verified = Intervals()
        if self.is_copy:
            self._present.add(np.array([0]), np.array([size]))
        self.data = map_file(descriptor, size)
        call_at_end(self.data, _discard, descriptor, path)

    def missing(self, ranges: Ranges) -> tuple[Offsets, Offsets]:
        """The intervals of `ranges` that are not present: starts and stops."""
        starts, stops = ranges.offsets, ranges.offsets + ranges.lengths
        with self._lock:
            missing = ~self._present.contains(starts, stops)
        return starts[missing], stops[missing]

    def write(self, span: Span, data: memoryview) -> None:
        """Write what is missing of a span, given its bytes. Raises OSError."""
        with self._lock:
            starts, stops = self._present.gaps(span.start, span.stop)
            for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
                _write(self._descriptor, data[start - span.start : stop - span.start], start)
            self._present.add(np.array([span.start]), np.array([span.stop]))

    def verify(self, ranges: Ranges) -> int | None:
        """Verify ranges that are present; the offset of a damaged one, if any."""
        if ranges.checksums is None:
            return None
        starts, stops = ranges.offsets, ranges.offsets + ranges.lengths
        with self._lock:
            new: NDArray[np.bool_] = ~self._verified.contains(starts, stops)
            broken = damaged(self.data, ranges, new)
            if len(broken):
                return int(broken[0])
            if new.any():
                self._verified.add(starts[new], stops[new])
        return None

    def stored_bytes(self) -> int:
        """The bytes that have arrived; 0 for a copy, which the cache counts itself."""
        with self._lock:
            return 0 if self.is_copy else self._present.total()


def _write(descriptor: int, data: memoryview, position: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, position)
        data, position = data[written:], position + written


def _discard(descriptor: int, path: Path | None) -> None:
    os.close(descriptor)
    if path is not None:
        path.unlink(missing_ok=True)
