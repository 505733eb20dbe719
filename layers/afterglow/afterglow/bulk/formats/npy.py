"""`.npy` files of embeddings, a row each, alongside a file of the other columns. Pickled arrays are rejected unread."""

import io
import math

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from afterglow.bulk.formats.detect import COMPRESSIONS, NPY, matrix_name
from afterglow.bulk.row_values import RowError
from afterglow.bulk.sources import Source
from afterglow.bulk.types import ImportRejected

_HEADER_BYTES = 64 * 1024
_CHUNK_BYTES = 16 * 1024 * 1024
_NUMBER_KINDS = "fiu"


def matrix_of(source: Source) -> Source | None:
    """The `.npy` file with the embeddings of a file of JSON Lines, None if there is none."""
    name = matrix_name(source.name)
    return None if name is None else source.sibling(name)


def companion_of(source: Source) -> Source | None:
    """The file with the other columns of a `.npy` file of embeddings, None if there is none."""
    stem = source.name.rpartition("/")[2].removesuffix(NPY)
    names = [f"{stem}{suffix}{compression}" for suffix in (".jsonl", ".ndjson") for compression in ("", *COMPRESSIONS)]
    return next((sibling for sibling in map(source.sibling, names) if sibling is not None), None)


class Vectors:
    """The rows of a matrix (n, d) of numbers, as float32. Raises ImportRejected for any other file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        head = io.BytesIO(source.read(0, _HEADER_BYTES))
        try:
            version = npy.read_magic(head)
            if version == (1, 0):
                shape, is_fortran, dtype = npy.read_array_header_1_0(head)
            elif version == (2, 0):
                shape, is_fortran, dtype = npy.read_array_header_2_0(head)
            else:
                raise ImportRejected(f"{source.name} is a .npy file of version {version}")
        except ValueError as error:
            raise ImportRejected(f"{source.name} is not a .npy file: {error}") from None
        if dtype.kind not in _NUMBER_KINDS or dtype.hasobject or len(shape) != 2 or is_fortran or 0 in shape:
            raise ImportRejected(
                f"{source.name} does not hold a matrix of numbers in C order: shape {shape}, type {dtype}"
            )
        self.rows, self.dimension = int(shape[0]), int(shape[1])
        self._dtype, self._data_start = dtype, head.tell()
        self._row_bytes = dtype.itemsize * self.dimension
        if source.size != self._data_start + math.prod(shape) * dtype.itemsize:
            raise ImportRejected(
                f"{source.name} is truncated: {source.size} bytes do not hold {shape[0]} × {shape[1]} {dtype}"
            )
        self._first = 0
        self._cached: NDArray[np.float32] = np.empty((0, self.dimension), dtype=np.float32)

    def row(self, number: int) -> bytes:
        """One row as little-endian float32; fastest in order. Raises RowError if there is no such row."""
        if not 0 <= number < self.rows:
            raise RowError(f"{self._source.name} has only {self.rows} rows")
        if not self._first <= number < self._first + len(self._cached):
            self._fetch(number)
        row: bytes = self._cached[number - self._first].tobytes()
        return row

    def _fetch(self, first: int) -> None:
        rows = min(max(_CHUNK_BYTES // self._row_bytes, 1), self.rows - first)
        raw = self._source.read(self._data_start + first * self._row_bytes, rows * self._row_bytes)
        if len(raw) != rows * self._row_bytes:
            raise ImportRejected(f"{self._source.name} became shorter while it was read")
        with np.errstate(over="ignore"):
            self._cached = np.frombuffer(raw, dtype=self._dtype).reshape(rows, -1).astype("<f4")
        self._first = first
