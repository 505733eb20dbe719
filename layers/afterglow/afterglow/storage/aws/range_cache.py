"""Byte ranges of remote files on the local disk: what `Objects.lazy` and `Objects.need` of S3 do.

`need`, step by step:

1. Take the local file of each remote file: a complete copy from the disk cache if there is one, else the sparse file of
   this process, created empty. References to it keep it alive until the caller has dropped the arrays.
2. Plan spans that cover what is missing, for all files (`storage.aws.read_plan`).
3. Reserve their bytes in the disk cache. To make room, copies that nobody uses are removed first; then local files are
   forgotten, the least recently used first. A forgotten file is removed once nobody reads it.
4. Read all spans in parallel; write each as it arrives.
5. Verify the ranges.
6. If mapped files take much of this process's memory, release their pages, which stay on the disk.

If a range is damaged, or the object was replaced between two reads, forget the local file and start over. If there is
no room, forget all local files, also those of this call, and start over: a file may be larger than the cache. *Raised
after three attempts: Corrupt, Unavailable for a replaced object, StorageFull.*

Nothing outlives the process: a crash leaves its folder in the disk cache, which the next process removes.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np

from afterglow.errors import AfterglowError, Corrupt, InternalError, StorageFull, Unavailable
from afterglow.storage.aws.disk_cache import NO_SPACE, DiskCache
from afterglow.storage.aws.error_mapping import map_errors
from afterglow.storage.aws.object_reader import ObjectReplaced, Part
from afterglow.storage.aws.read_plan import Span, plan
from afterglow.storage.aws.sparse_file import SparseFile
from afterglow.storage.file_map import release_pages, resident_file_bytes
from afterglow.storage.intervals import Offsets
from afterglow.storage.ports import Bytes, LazyFile, Ranges
from afterglow.storage.range_checks import require_within

_ATTEMPTS = 3
_LOOK_BYTES = 64 * 1024 * 1024
"""After so many requested bytes it is looked at how much of the memory the maps take."""
_RESIDENT_BYTES = 512 * 1024 * 1024
"""More mapped pages are released, so that a large cache does not fill the memory; a later access maps them again."""


class RemoteFile:
    """A file in the bucket, with the local file that holds what has arrived of it."""

    def __init__(self, key: str, size: int) -> None:
        self.key = key
        self.size = size
        self.local: SparseFile | None = None


Read = Callable[["Sequence[Request]"], None]
"""Reads the spans in parallel and calls `deliver` of each. Raises ObjectNotFound, ObjectReplaced, Unavailable."""
Write = Callable[[SparseFile, Span, memoryview], None]


class Request:
    """A span to be read of one file."""

    def __init__(self, file: RemoteFile, local: SparseFile, span: Span, write: Write) -> None:
        self.key = file.key
        self.size = file.size
        self._span = span
        self._local = local
        self._write = write

    @property
    def bounds(self) -> tuple[int, int]:
        """Where the span starts and stops."""
        return self._span.start, self._span.stop

    @property
    def etag(self) -> str | None:
        """The version to read, None if any will do."""
        return self._local.etag

    def deliver(self, part: Part) -> None:
        """Store the bytes. Raises Corrupt, ObjectReplaced, Unavailable."""
        if part.size != self.size:
            raise Corrupt(f"{self.key} is damaged: {part.size} bytes instead of {self.size}")
        if len(part.data) != len(self._span):
            raise Unavailable(f"{self.key} arrived with {len(part.data)} bytes instead of {len(self._span)}")
        if self._local.etag is None:
            self._local.etag = part.etag
        if self._local.etag != part.etag:
            raise ObjectReplaced(self.key)
        with map_errors(self.key):
            self._write(self._local, self._span, part.data)


class RangeCache:
    """The remote files that this process reads. Safe for any number of threads."""

    def __init__(self, cache: DiskCache, read: Read, name: Callable[[str], str]) -> None:
        """`name` is the name of a key's copy in the disk cache."""
        self._cache = cache
        self._read = read
        self._name = name
        self._lock = threading.RLock()
        self._known: WeakValueDictionary[str, RemoteFile] = WeakValueDictionary()
        self._recent: OrderedDict[str, RemoteFile] = OrderedDict()
        self._touched = 0
        cache.release = self._release

    def open(self, key: str, size: int) -> RemoteFile:
        """The file of this key."""
        with self._lock:
            file = self._known.get(key)
            if file is None or file.size != size:
                file = self._known[key] = RemoteFile(key, size)
            return file

    def forget(self, key: str) -> None:
        """Drop the local bytes of a file; readers keep theirs."""
        with self._lock:
            file = self._known.get(key)
            self._recent.pop(key, None)
            if file is not None:
                file.local = None

    def need(self, requested: Sequence[tuple[LazyFile, Ranges]]) -> list[Bytes]:
        """The bytes of the files, in which their ranges are present and verified (see the module's docstring)."""
        for attempt in range(_ATTEMPTS):
            locals_ = [self._local(_remote(file, ranges)) for file, ranges in requested]
            failure = self._bring(requested, locals_, patient=attempt > 0) or self._verify(requested, locals_)
            if failure is None:
                self._bound_memory(sum(int(ranges.lengths.sum()) for _, ranges in requested))
                return [local.data for local in locals_]
            if attempt == _ATTEMPTS - 1:
                raise failure.error
            del locals_  # they may be what has taken the room
            self._discard(failure)
        raise AssertionError("unreachable")

    def _bring(
        self, requested: Sequence[tuple[LazyFile, Ranges]], locals_: Sequence[SparseFile], *, patient: bool
    ) -> "_Failure | None":
        """Read what is missing."""
        missing: dict[RemoteFile, list[tuple[Offsets, Offsets]]] = {}
        local_of = {}
        for (file, ranges), local in zip(requested, locals_, strict=True):
            remote = _remote(file, ranges)
            missing.setdefault(remote, []).append(local.missing(ranges))
            local_of[remote] = local
        intervals = [
            (np.concatenate([starts for starts, _ in of_file]), np.concatenate([stops for _, stops in of_file]))
            for of_file in missing.values()
        ]
        requests = [
            Request(file, local_of[file], span, self._write)
            for file, spans in zip(missing, plan(intervals), strict=True)
            for span in spans
        ]
        if requests:
            size = sum(stop - start for start, stop in (request.bounds for request in requests))
            try:
                with self._cache.reservation(size, patient=patient):
                    self._read(requests)
            except StorageFull as error:
                return _Failure(StorageFull(error.message), None)
            except ObjectReplaced as error:
                return _Failure(Unavailable(f"{error} was replaced while it was read; try again"), str(error))
        return None

    def _bound_memory(self, touched: int) -> None:
        """Release the mapped pages of all local files if they take much of the memory, after `touched` bytes more."""
        with self._lock:
            self._touched += touched
            if self._touched < _LOOK_BYTES:
                return
            self._touched = 0
            if resident_file_bytes() > _RESIDENT_BYTES:
                for file in self._recent.values():
                    if file.local is not None:
                        release_pages(file.local.data)

    def _write(self, local: SparseFile, span: Span, data: memoryview) -> None:
        """Write to the local file; if other programs have filled the file system, free space until it suffices."""
        while True:
            try:
                return local.write(span, data)
            except OSError as error:
                if error.errno not in NO_SPACE or not self._cache.free_space():
                    raise

    def _verify(self, requested: Sequence[tuple[LazyFile, Ranges]], locals_: Sequence[SparseFile]) -> "_Failure | None":
        """Verify the ranges, all of which have arrived."""
        for (file, ranges), local in zip(requested, locals_, strict=True):
            offset = local.verify(ranges)
            if offset is not None:
                text = f"{file.key} is damaged: it does not match a checksum at byte {offset}"
                return _Failure(Corrupt(text), file.key)
        return None

    def _local(self, file: RemoteFile) -> SparseFile:
        """The local file, which is now the most recently used."""
        with self._lock, map_errors(file.key):
            local = file.local
            if local is None:
                local = file.local = SparseFile(*self._cache.open_local(self._name(file.key), file.size))
            self._known[file.key] = self._recent[file.key] = file
            self._recent.move_to_end(file.key)
            return local

    def _discard(self, failure: "_Failure") -> None:
        """Drop damaged bytes, and the complete copy if there is one; every local file if there is no room."""
        if failure.key is None:
            self._release(self._cache.limit_bytes)
        else:
            self.forget(failure.key)
            self._cache.invalidate(self._name(failure.key))

    def _release(self, size: int) -> bool:
        """Forget the least recently used local files, of at least `size` bytes together; False: there is none."""
        forgotten = 0
        with self._lock:
            while self._recent and forgotten < size:
                _, file = self._recent.popitem(last=False)
                if file.local is not None:
                    forgotten += max(file.local.stored_bytes(), 1)
                    file.local = None
        return forgotten > 0


@dataclass(frozen=True, slots=True)
class _Failure:
    """What to raise unless another attempt succeeds, and the file whose local bytes are of no use; None: no room."""

    error: AfterglowError
    key: str | None


def _remote(file: LazyFile, ranges: Ranges) -> RemoteFile:
    if not isinstance(file, RemoteFile):
        raise InternalError(f"{file.key} is a file of another store")
    require_within(file.key, file.size, ranges)
    return file
