"""A store of objects as a remote one looks to its readers: what was not asked for is 0xFF, and every round counts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from afterglow.storage.ports import Bytes, LazyFile, ObjectInfo, Objects, Ranges


@dataclass(frozen=True)
class StrictFile:
    """A lazy file and the bytes of it that were asked for."""

    inner: LazyFile
    data: Bytes

    @property
    def key(self) -> str:
        return self.inner.key

    @property
    def size(self) -> int:
        return self.inner.size


class StrictObjects:
    """Objects over a local store whose lazy files show 0xFF wherever nobody asked: a forgotten `need` is loud.

    `rounds` holds, for each `need` that brought in something new, the bytes of it by key; `gets` and `downloads` count
    reads of whole objects.
    """

    def __init__(self, inner: Objects) -> None:
        self._inner = inner
        self._files: dict[str, StrictFile] = {}
        self.rounds: list[dict[str, int]] = []
        self.gets: list[str] = []
        self.downloads: list[str] = []

    @property
    def evicts(self) -> bool:
        return True

    def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        self._inner.put(key, data, if_absent=if_absent)

    def temporary_path(self, name: str) -> Path:
        return self._inner.temporary_path(name)

    def upload(self, key: str, path: Path) -> None:
        self._inner.upload(key, path)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.gets.append(key)
        return self._inner.get(key, start, length)

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        self.gets += keys
        return self._inner.get_many(keys)

    def prefetch(self, keys: Sequence[str]) -> None:
        self._inner.prefetch(keys)

    def local_path(self, key: str) -> Path:
        self.downloads.append(key)
        return self._inner.local_path(key)

    def lazy(self, key: str, size: int) -> LazyFile:
        if key not in self._files:
            self._files[key] = StrictFile(self._inner.lazy(key, size), np.full(size, 0xFF, dtype=np.uint8))
        return self._files[key]

    def need(self, requested: Sequence[tuple[LazyFile, Ranges]]) -> list[Bytes]:
        files = [file for file, _ in requested if isinstance(file, StrictFile)]
        assert len(files) == len(requested)
        arrays = self._inner.need([(file.inner, ranges) for file, (_, ranges) in zip(files, requested, strict=True)])
        fresh: dict[str, int] = {}
        for file, array, (_, ranges) in zip(files, arrays, requested, strict=True):
            for start, length in zip(ranges.offsets.tolist(), ranges.lengths.tolist(), strict=True):
                source, target = array[start : start + length], file.data[start : start + length]
                if (source != target).any():
                    fresh[file.key] = fresh.get(file.key, 0) + length
                    target[:] = source
        if fresh:
            self.rounds.append(fresh)
        return [_read_only(file.data) for file in files]

    def reserve_space(self) -> None:
        self._inner.reserve_space()

    def release_space(self) -> bool:
        return self._inner.release_space()

    def invalidate(self, key: str) -> bool:
        return self._inner.invalidate(key)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        return self._inner.list(prefix, after=after)

    def delete(self, key: str) -> None:
        self._inner.delete(key)

    def delete_many(self, keys: Sequence[str]) -> None:
        self._inner.delete_many(keys)


def _read_only(data: Bytes) -> Bytes:
    view = data[:]
    view.flags.writeable = False
    return view
