"""Root files: small files of a segment that lead to its larger ones, read whole when something first needs them."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
import xxhash

from afterglow.errors import Corrupt
from afterglow.segment.array_file import RESTORE_HINT, FileRef
from afterglow.segment.rounds import Request
from afterglow.storage.ports import Bytes, Objects, Ranges

T = TypeVar("T")


class RootFile(Generic[T]):
    """A root file and, once it is read, what `parse` made of its bytes. Safe for any number of threads."""

    def __init__(self, objects: Objects, file: FileRef, parse: Callable[[Bytes], T]) -> None:
        self._objects = objects
        self._file = file
        self._parse = parse
        self._value: T | None = None
        self._lock = Lock()

    @property
    def is_open(self) -> bool:
        """Whether it was read."""
        return self._value is not None

    def get(self) -> T:
        """The content, read now if it was not. Raises Corrupt, ObjectNotFound, Unavailable."""
        if self._value is None:
            (data,) = self._objects.need([self.request()])
            self.accept(data)
        assert self._value is not None
        return self._value

    def request(self) -> Request:
        """The bytes of the file."""
        whole = Ranges(np.zeros(1, dtype=np.int64), np.array([self._file.size]))
        return self._objects.lazy(self._file.key, self._file.size), whole

    def accept(self, data: Bytes) -> None:
        """Take the answer to `request`; a damaged copy is fetched again. Raises Corrupt."""
        if not self._is_intact(data) and self._objects.invalidate(self._file.key):
            (data,) = self._objects.need([self.request()])
        if not self._is_intact(data):
            raise Corrupt(f"{self._file.key} is damaged: it does not match its checksum; {RESTORE_HINT}")
        with self._lock:
            if self._value is None:
                self._value = self._parse(data)

    def _is_intact(self, data: Bytes) -> bool:
        return xxhash.xxh3_128_hexdigest(data.data) == self._file.checksum


def read_together(
    objects: Objects, files: Sequence[RootFile[Any]], extra: Callable[[], Sequence[Request]] = tuple
) -> None:
    """Read those of the files that were not read yet, in one round, and if there are any, what `extra` asks for.

    Raises Corrupt, ObjectNotFound, Unavailable.
    """
    missing = [file for file in files if not file.is_open]
    if missing:
        read = objects.need([*(file.request() for file in missing), *extra()])
        for file, data in zip(missing, read[: len(missing)], strict=True):
            file.accept(data)
