"""A file of named numpy arrays: written once, mapped to read.

All integers little-endian; every array begins at a multiple of 64 bytes::

    "AGF1" · u32 length of the header · header (JSON: kind, meta, arrays with dtype, shape, offset) · padding · arrays

Offsets count from the end of the padded header. The checksum over the whole file is stored in the reference to it.
"""

import fcntl
import math
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import orjson
import xxhash
from numpy.typing import NDArray

from afterglow.errors import Corrupt
from afterglow.storage import magic as magic_number
from afterglow.storage.file_map import call_at_end, map_file
from afterglow.storage.ports import ObjectNotFound, Objects, require_descriptor

MAGIC = b"AGF1"
_PREFIX = struct.Struct("<4sI")
_ALIGNMENT = 64
_CHUNK = 4 * 1024 * 1024
_ATTEMPTS = 4
_DTYPES = {"|u1", "|b1", "|i1", "<u4", "<i4", "<u8", "<i8", "<f4", "<f8"}
RESTORE_HINT = "restore it from a backup, or repair the collection (afterglow repair)"


@dataclass(frozen=True, slots=True)
class FileRef:
    """A reference to a file, as in the manifest: object key, size in bytes, xxh3-128 in hex."""

    key: str
    size: int
    checksum: str


@dataclass(frozen=True, slots=True)
class ArrayStream:
    """An array that is written in chunks: its shape, and the chunks in order."""

    dtype: str
    shape: tuple[int, ...]
    chunks: Iterable[NDArray[Any]]


def write(path: Path, kind: str, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any] | ArrayStream]) -> str:
    """Write the file (not synced) and return its checksum. Chunks of an `ArrayStream` are read one at a time."""
    entries: list[dict[str, Any]] = []
    offset = 0
    for name, array in arrays.items():
        dtype = np.dtype(array.dtype).newbyteorder("<").str
        if dtype not in _DTYPES:
            raise ValueError(f"array {name} has dtype {dtype}")
        entries.append({"name": name, "dtype": dtype, "shape": list(array.shape), "offset": offset})
        offset += padded(_size(array, dtype))
    header = orjson.dumps({"kind": kind, "meta": meta, "arrays": entries})
    digest = xxhash.xxh3_128()
    with path.open("wb") as file:

        def put(data: bytes | memoryview) -> None:
            file.write(data)
            digest.update(data)

        put(_PREFIX.pack(MAGIC, len(header)) + header)
        put(_padding(_PREFIX.size + len(header)))
        for entry, array in zip(entries, arrays.values(), strict=True):
            for chunk in array.chunks if isinstance(array, ArrayStream) else (array,):
                if chunk.size:
                    put(np.ascontiguousarray(chunk, dtype=entry["dtype"]).data.cast("B"))
            put(_padding(_size(array, entry["dtype"])))
    return digest.hexdigest()


class Uploads(Protocol):
    """What `upload` needs of a store."""

    def upload(self, key: str, path: Path) -> None:
        """Store the file at `path` as the object `key`."""


def upload(objects: Uploads, key: str, path: Path, checksum: str | None = None) -> FileRef:
    """Upload the file and return the reference for the manifest; the checksum is computed unless it is known."""
    ref = FileRef(key, path.stat().st_size, checksum_of(path) if checksum is None else checksum)
    objects.upload(key, path)
    return ref


def map_arrays(path: Path, kind: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file that was just written, mapped."""
    with path.open("rb") as file:
        view = map_file(file.fileno(), os.fstat(file.fileno()).st_size).data
    return parse(view, kind, path.name)[1]


def single_array_start(file_size: int, array_bytes: int) -> int:
    """Where the array begins in a file of this size that holds one array of `array_bytes`."""
    return file_size - padded(array_bytes)


def checksum_of(path: Path) -> str:
    """The xxh3-128 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return _checksum(file)


class MappedFile:
    """A verified file, mapped read-only. Numpy arrays over it keep the map alive.

    A descriptor stays open only if the store may evict the file: a shared lock on it keeps the file in the cache as
    long as the map lives.
    """

    def __init__(self, objects: Objects, ref: FileRef, *, verify: bool = True) -> None:
        """Raises Corrupt when length or checksum differ from `ref`, ObjectNotFound. A damaged copy is fetched again.

        Raises TooManyOpenFiles.
        """
        self.ref = ref
        try:
            self._open(objects, verify=verify)
        except Corrupt:
            if not objects.invalidate(ref.key):
                raise
            self._open(objects, verify=verify)

    def _open(self, objects: Objects, *, verify: bool) -> None:
        self.path, file = _open_locked(objects, self.ref.key)
        self._name = str(self.path)
        try:
            self._verified_signature = _signature(os.fstat(file.fileno()))
            self._verify(file, verify)
            data = map_file(file.fileno(), self.ref.size)
        except BaseException:
            file.close()
            raise
        self.map = data.data
        if objects.evicts:
            call_at_end(data, file.close)
        else:
            file.close()

    def verify_unchanged(self) -> None:
        """Detect a file that was changed or truncated under the map, before its pages are read.

        Reading a truncated map would kill the process. Costs one `stat`; the file is read again only if its size or
        time changed. A removed file cannot change: the map keeps its content. Raises Corrupt.
        """
        try:
            status = os.lstat(self._name)  # of every file for every read: a path would be converted each time
            if (status.st_size, status.st_mtime_ns) != self._verified_signature:
                with self.path.open("rb") as file:
                    self._verify(file, verify=True)
                self._verified_signature = _signature(status)
        except FileNotFoundError:
            return

    def arrays(self, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The file's meta and its arrays as views on the map. Raises Corrupt if it is not a file of this kind."""
        return parse(self.map, kind, self.ref.key)

    def _verify(self, file: BinaryIO, verify: bool) -> None:
        size = os.fstat(file.fileno()).st_size
        if size != self.ref.size:
            raise Corrupt(f"{self.ref.key} is damaged: {size} bytes instead of {self.ref.size}; {RESTORE_HINT}")
        if verify and _checksum(file) != self.ref.checksum:
            raise Corrupt(f"{self.ref.key} is damaged: it does not match its checksum; {RESTORE_HINT}")


def _signature(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _open_locked(objects: Objects, key: str) -> tuple[Path, BinaryIO]:
    """The object's file, open and locked; tries again if the cache evicted it just before."""
    for _ in range(_ATTEMPTS):
        path = objects.local_path(key)
        with require_descriptor(key):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
        fcntl.flock(file, fcntl.LOCK_SH)
        if os.fstat(file.fileno()).st_nlink:
            return path, file
        file.close()
    raise ObjectNotFound(f"object {key} does not exist")


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file's header says: meta, and each array with dtype, shape and offset from `start`, where arrays begin."""

    meta: dict[str, Any]
    start: int
    arrays: dict[str, tuple[str, tuple[int, ...], int]]

    def array(self, data: Any, name: str) -> NDArray[Any]:
        """An array as a view of the file's bytes. Raises ValueError if it is not within them."""
        dtype, shape, offset = self.arrays[name]
        count = math.prod(shape)
        return np.frombuffer(data, dtype=dtype, count=count, offset=self.start + offset).reshape(shape)

    def span(self, name: str) -> tuple[int, int, int]:
        """Where an array starts in the file, its number of items along the first axis, and the bytes of each."""
        dtype, shape, offset = self.arrays[name]
        return self.start + offset, shape[0], math.prod(shape[1:]) * np.dtype(dtype).itemsize

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"meta": self.meta, "start": self.start, "arrays": {name: list(at) for name, at in self.arrays.items()}}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Layout":
        """The layout of `to_json`. Raises KeyError, TypeError, ValueError."""
        arrays = {name: (str(dtype), tuple(shape), int(at)) for name, (dtype, shape, at) in value["arrays"].items()}
        if not {dtype for dtype, _, _ in arrays.values()} <= _DTYPES:
            raise ValueError("an array of an unknown type")
        return Layout(value["meta"], int(value["start"]), arrays)


def layout(view: memoryview, kind: str, name: str) -> Layout:
    """The header of a file of this kind. Raises Corrupt."""
    try:
        magic, length = _PREFIX.unpack_from(view)
        magic_number.require(magic, MAGIC, name, f"a {kind} file")
        header = orjson.loads(view[_PREFIX.size : _PREFIX.size + length])
        if header["kind"] != kind:
            raise Corrupt(f"{name} is not a {kind} file; {RESTORE_HINT}")
        arrays = {}
        for entry in header["arrays"]:
            if entry["dtype"] not in _DTYPES:
                raise Corrupt(f"{name} has an array of an unknown type; {RESTORE_HINT}")
            arrays[entry["name"]] = entry["dtype"], tuple(entry["shape"]), entry["offset"]
        return Layout(header["meta"], padded(_PREFIX.size + length), arrays)
    except (struct.error, KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{name} cannot be read: {error}; {RESTORE_HINT}") from error


def parse(view: memoryview, kind: str, name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Meta and arrays of a file's bytes. Raises Corrupt."""
    found = layout(view, kind, name)
    try:
        return found.meta, {array: found.array(view, array) for array in found.arrays}
    except (TypeError, ValueError) as error:
        raise Corrupt(f"{name} cannot be read: {error}; {RESTORE_HINT}") from error


def _checksum(file: BinaryIO) -> str:
    digest, position = xxhash.xxh3_128(), 0
    while chunk := os.pread(file.fileno(), _CHUNK, position):
        digest.update(chunk)
        position += len(chunk)
    return digest.hexdigest()


def _size(array: NDArray[Any] | ArrayStream, dtype: str) -> int:
    return math.prod(array.shape) * np.dtype(dtype).itemsize


def _padding(size: int) -> bytes:
    return bytes(padded(size) - size)


def padded(size: int) -> int:
    """The bytes that an array of this size takes in a file."""
    return -(-size // _ALIGNMENT) * _ALIGNMENT
