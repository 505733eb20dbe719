"""A local object's file as a `LazyFile`: mapped whole; each range is verified when it is first needed.

A file that was changed or truncated under the map is noticed at the next `need`, by one `fstat`: then every range is
verified anew. Reading a truncated map would kill the process.
"""

import mmap
import os
import threading
import weakref
from typing import BinaryIO

import numpy as np

from afterglow.errors import Corrupt
from afterglow.storage.intervals import Intervals
from afterglow.storage.ports import Bytes, Ranges
from afterglow.storage.range_checks import damaged, require_within


class MappedObject:
    """An open file, read-only. Safe for any number of threads."""

    def __init__(self, key: str, size: int, file: BinaryIO) -> None:
        """Takes over the open `file`. Raises Corrupt if its length is not `size`."""
        self.key = key
        self.size = size
        self._file = file
        self._verified = Intervals()
        self._lock = threading.Lock()
        self._signature = self._stat()
        if self._signature[0] != size:
            file.close()
            raise Corrupt(f"{key} is damaged: {self._signature[0]} bytes instead of {size}")
        weakref.finalize(self, file.close)
        self.data: Bytes = np.empty(0, dtype=np.uint8)
        if size:
            self.data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=np.uint8)

    def require(self, ranges: Ranges) -> Bytes:
        """The file's bytes, with `ranges` verified. Raises Corrupt."""
        require_within(self.key, self.size, ranges)
        with self._lock:
            self._notice_changes()
            stops = ranges.offsets + ranges.lengths
            if ranges.checksums is not None:
                new = ~self._verified.contains(ranges.offsets, stops)
                broken = damaged(self.data, ranges, new)
                if len(broken):
                    raise Corrupt(f"{self.key} is damaged: it does not match a checksum at byte {broken[0]}")
                if new.any():
                    self._verified.add(ranges.offsets[new], stops[new])
        return self.data

    def _notice_changes(self) -> None:
        signature = self._stat()
        if signature != self._signature:
            if signature[0] != self.size:
                raise Corrupt(f"{self.key} is damaged: {signature[0]} bytes instead of {self.size}")
            self._verified.clear()
            self._signature = signature

    def _stat(self) -> tuple[int, int]:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns
