"""A local object's file as a `LazyFile`: mapped whole; each range is verified when it is first needed.

A file that was changed or truncated under the map is noticed at the next `need`, by one `stat`: then every range is
verified anew. Reading a truncated map would kill the process. A removed file cannot change: the map keeps its content.
"""

import os
import threading
from pathlib import Path
from typing import BinaryIO

from afterglow.errors import Corrupt
from afterglow.storage.file_map import map_file
from afterglow.storage.intervals import Intervals
from afterglow.storage.ports import Bytes, Ranges
from afterglow.storage.range_checks import damaged, require_within


class MappedObject:
    """A mapped file, read-only; it needs no descriptor. Safe for any number of threads."""

    def __init__(self, key: str, size: int, path: Path, file: BinaryIO) -> None:
        """Maps the open `file` at `path`, which the caller closes. Raises Corrupt if its length is not `size`."""
        self.key = key
        self.size = size
        self._path = path
        self._verified = Intervals()
        self._lock = threading.Lock()
        self._signature = _signature(os.fstat(file.fileno()))
        if self._signature[0] != size:
            raise Corrupt(f"{key} is damaged: {self._signature[0]} bytes instead of {size}")
        self.data: Bytes = map_file(file.fileno(), size)

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
        try:
            signature = _signature(os.lstat(self._path))
        except FileNotFoundError:
            return
        if signature != self._signature:
            if signature[0] != self.size:
                raise Corrupt(f"{self.key} is damaged: {signature[0]} bytes instead of {self.size}")
            self._verified.clear()
            self._signature = signature


def _signature(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
