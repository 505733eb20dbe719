"""`.npy` files of embeddings, a row each: alongside JSON Lines with the other columns, or alone. `.npz` archives.

Alone, a file is one range of rows; an archive has an array of embeddings and perhaps arrays of ids, documents and other
columns, by the usual names of columns. Pickled arrays are rejected unread. A matrix in Fortran order, and an archive,
are read into memory, up to `import_memory_bytes`.
"""

import io
import math
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from afterglow.bulk.formats import column_mapping
from afterglow.bulk.formats.detect import COMPRESSIONS, NPY, matrix_name
from afterglow.bulk.formats.format import Inspection
from afterglow.bulk.formats.row_mapper import RowMapper
from afterglow.bulk.row_chunks import Row, RowChunk, RowChunkBuilder, row_id
from afterglow.bulk.row_values import RowError, identifier
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sources import Source
from afterglow.bulk.types import ColumnMapping, Compression, FileRange, ImportRejected, Plan
from afterglow.settings import Settings

_HEADER_BYTES = 64 * 1024
_CHUNK_BYTES = 16 * 1024 * 1024
_NUMBER_KINDS = "fiu"
_METADATA_KINDS = "biufUM"


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

    def __init__(self, source: Source, settings: Settings) -> None:
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
        if dtype.kind not in _NUMBER_KINDS or dtype.hasobject or len(shape) != 2 or 0 in shape:
            raise ImportRejected(f"{source.name} does not hold a matrix of numbers: shape {shape}, type {dtype}")
        self.rows, self.dimension = int(shape[0]), int(shape[1])
        self._dtype, self._data_start = dtype, head.tell()
        self._row_bytes = dtype.itemsize * self.dimension
        if source.size != self._data_start + math.prod(shape) * dtype.itemsize:
            raise ImportRejected(
                f"{source.name} is truncated: {source.size} bytes do not hold {shape[0]} × {shape[1]} {dtype}"
            )
        self._first = 0
        self._cached: NDArray[np.float32] = np.empty((0, self.dimension), dtype=np.float32)
        if is_fortran:
            _require_memory(source, source.size, settings)
            raw = source.read(self._data_start, source.size - self._data_start)
            with np.errstate(over="ignore"):
                columns = np.frombuffer(raw, dtype=dtype).reshape(shape, order="F")
                self._cached = np.ascontiguousarray(columns, dtype="<f4")

    def row(self, number: int) -> bytes:
        """One row as little-endian float32; fastest in order. Raises RowError if there is no such row."""
        if not 0 <= number < self.rows:
            raise RowError(f"{self._source.name} has only {self.rows} rows")
        if not self._first <= number < self._first + len(self._cached):
            self._fetch(number)
        row: bytes = self._cached[number - self._first].tobytes()
        return row

    def find_rows(self, numbers: Iterable[int]) -> list[bytes | RowError]:
        """Some rows as `row` returns them, or the error that it raises."""
        found: list[bytes | RowError] = []
        for number in numbers:
            try:
                found.append(self.row(number))
            except RowError as error:
                found.append(error)
        return found

    def _fetch(self, first: int) -> None:
        rows = min(max(_CHUNK_BYTES // self._row_bytes, 1), self.rows - first)
        raw = self._source.read(self._data_start + first * self._row_bytes, rows * self._row_bytes)
        if len(raw) != rows * self._row_bytes:
            raise ImportRejected(f"{self._source.name} became shorter while it was read")
        with np.errstate(over="ignore"):
            self._cached = np.frombuffer(raw, dtype=self._dtype).reshape(rows, -1).astype("<f4")
        self._first = first


def inspect(source: Source, compression: Compression, options: Sidecar, settings: Settings) -> Inspection:
    """The dimension of the matrix; of an archive also the columns."""
    del compression
    if source.name.lower().endswith(NPY):
        vectors = Vectors(source, settings)
        return Inspection(ColumnMapping(others=()), vectors.dimension, (FileRange(0, vectors.rows, 1),))
    columns, arrays = _open_archive(source, options, settings)
    matrix = arrays[columns.embedding or ""]
    return Inspection(columns, matrix.shape[1], (FileRange(0, len(matrix), 1),))


def read_chunks(
    source: Source, plan: Plan, file_range: FileRange, *, position: int, lines_read: int, settings: Settings
) -> Iterator[RowChunk]:
    """The rows from `position` on."""
    del lines_read
    is_matrix = source.name.lower().endswith(NPY)
    vectors = Vectors(source, settings) if is_matrix else None
    arrays = {} if is_matrix else _open_archive(source, _options_of(plan.columns), settings)[1]
    mapper = RowMapper(plan.columns)
    while position < file_range.end:
        end = min(position + plan.batch_rows, file_range.end)
        builder = RowChunkBuilder(plan.dimension)
        for row in range(position, end):
            try:
                if vectors is not None:
                    builder.add(row + 1, row_id(plan.name, row), vectors.row(row), Row(None, None, None))
                else:
                    _add(builder, plan, mapper, arrays, row)
            except RowError as error:
                builder.reject(row + 1, str(error))
        yield builder.build(end, end - file_range.start)
        position = end


def _add(builder: RowChunkBuilder, plan: Plan, mapper: RowMapper, arrays: dict[str, NDArray[Any]], row: int) -> None:
    record = {name: array[row].tolist() for name, array in arrays.items()}
    name = record.get(plan.columns.id or "")
    text = row_id(plan.name, row) if name is None else identifier(name)
    builder.add(row + 1, text, mapper.embedding(record, plan.dimension), mapper.row(record, builder))


def _options_of(columns: ColumnMapping) -> Sidecar:
    roles = {"id": columns.id, "embedding": columns.embedding, "document": columns.document, "uri": columns.uri}
    return Sidecar(columns={role: column for role, column in roles.items() if column is not None})


def _open_archive(
    source: Source, options: Sidecar, settings: Settings
) -> tuple[ColumnMapping, dict[str, NDArray[Any]]]:
    """The columns of an archive, and its arrays that have as many rows as its embeddings. Raises ImportRejected."""
    _require_memory(source, source.size, settings)
    try:
        with zipfile.ZipFile(io.BytesIO(source.read(0, source.size))) as archive:
            infos = [info for info in archive.infolist() if info.filename.endswith(NPY)]
            _require_memory(source, sum(info.file_size for info in infos), settings)
            arrays = {
                info.filename.removesuffix(NPY): npy.read_array(io.BytesIO(archive.read(info)), allow_pickle=False)
                for info in infos
            }
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ImportRejected(f"{source.name} cannot be read: {error}; pickled arrays are not") from None
    matrices = [name for name, array in arrays.items() if array.ndim == 2 and array.dtype.kind in _NUMBER_KINDS]
    if len(matrices) == 1 and "embedding" not in options.columns:
        options = replace(options, columns={**options.columns, "embedding": matrices[0]})
    columns = column_mapping.map_columns(list(arrays), options, name=source.name, every=True)
    embedding = column_mapping.require_embedding(columns, source.name, list(arrays), matrices)
    if embedding not in matrices:
        raise ImportRejected(f"{source.name}: array {embedding!r} is no matrix of numbers")
    rows = len(arrays[embedding])
    others = {name: "it has another number of rows" for name, array in arrays.items() if array.shape[:1] != (rows,)}
    for name in (columns.id, columns.document, columns.uri):
        if name in others:
            raise ImportRejected(f"{source.name}: {name!r} has {len(arrays[name])} rows, {embedding!r} has {rows}")
    others |= {
        name: f"metadata cannot hold {arrays[name].dtype}"
        for name in columns.others or ()
        if arrays[name].dtype.kind not in _METADATA_KINDS
    }
    columns = replace(
        columns,
        others=tuple(name for name in columns.others or () if name not in others),
        ignored={**columns.ignored, **others},
    )
    arrays |= {name: np.datetime_as_string(array) for name, array in arrays.items() if array.dtype.kind == "M"}
    return columns, {name: array for name, array in arrays.items() if name not in columns.ignored}


def _require_memory(source: Source, size: int, settings: Settings) -> None:
    if size > settings.import_memory_bytes:
        raise ImportRejected(
            f"{source.name} takes {size} bytes of memory, AFTERGLOW_IMPORT_MEMORY_BYTES is "
            f"{settings.import_memory_bytes}"
        )
