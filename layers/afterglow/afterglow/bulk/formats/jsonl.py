"""JSON Lines: reads and writes files with one JSON object per line; blank lines are skipped.

A plain file is split into ranges at line breaks, which takes one read of it; a compressed one is a single range. The
reader takes any keys (`ColumnMapping`); the writer's are id, embedding, document, uri and metadata. Compression of
the writer is deterministic: equal records make equal files.
"""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson

from afterglow.bulk import row_values
from afterglow.bulk.embedding_groups import GROUP_ROWS
from afterglow.bulk.endpoint import RecordStream
from afterglow.bulk.formats import column_mapping, npy, streams
from afterglow.bulk.formats.column_mapping import SAMPLE_ROWS
from afterglow.bulk.formats.format import Inspection
from afterglow.bulk.formats.npy import Vectors
from afterglow.bulk.formats.row_mapper import RowMapper
from afterglow.bulk.row_chunks import RowChunk, RowChunkBuilder, row_id
from afterglow.bulk.row_values import RowError
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sources import CHUNK_BYTES, Source
from afterglow.bulk.types import ColumnMapping, Compression, FileRange, ImportRejected, Plan
from afterglow.collection.types import Records
from afterglow.records.embeddings import NUMBER_TYPES
from afterglow.settings import Settings

_CHUNK_BYTES = 64 * 1024 * 1024
_GROUP_BYTES = 1024 * 1024
_NOT_FINITE = (b"NaN", b"Infinity")
_BLANK = b" \t\r"
_BLANK_LINES = (b"", b"\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
# Level 3 takes half as long again as 1 and 8 % less space; 6 takes four times as long.
_LEVEL = 1


def inspect(source: Source, compression: Compression, options: Sidecar, settings: Settings) -> Inspection:
    """Columns and dimension from the first lines; the dimension of a `.npy` file if there is one."""
    matrix, text = npy.matrix_of(source), b""
    sample, encoding = [], streams.encoding_of(source, compression, settings, options.encoding)
    for line in islice(streams.lines(source, compression, 0, -1, settings, encoding=encoding), SAMPLE_ROWS):
        try:
            text = text or (line.text or b"").removeprefix(_BYTE_ORDER_MARK).strip()
            sample.append(parse_line(line.text or b"", first=line.start == 0))
        except RowError:
            continue
    if not sample and not options.columns:
        raise ImportRejected(f"{source.name}: none of its first lines is a JSON object{_whole_json(text)}")
    columns, dimension = map_records(sample, options, source.name, has_matrix=matrix is not None)
    if matrix is not None:
        dimension = Vectors(matrix, settings).dimension
    ranges = [FileRange(0, -1, 1)]
    if compression is Compression.NONE and not encoding:
        ranges = list(_line_ranges(source, settings, skip_blank=matrix is not None))
    return Inspection(columns, dimension, tuple(ranges), matrix=matrix, encoding=encoding)


def _whole_json(first_line: bytes) -> str:
    """A hint if the first line seems to begin a JSON text of several lines."""
    if first_line.startswith(b"["):
        return "; it seems to hold a JSON array: such files end in .json"
    if first_line.startswith(b"{"):
        return "; it seems to hold objects of several lines: such files end in .json"
    return ""


def map_records(
    sample: Sequence[Mapping[str, Any]], options: Sidecar, name: str, *, has_matrix: bool = False
) -> tuple[ColumnMapping, int]:
    """Columns and dimension of JSON objects; the dimension is 1 if a `.npy` file has the embeddings, 0 without."""
    names = list(dict.fromkeys(key for record in sample for key in record))

    def values(column: str) -> list[Any]:
        return [record[column] for record in sample if record.get(column) is not None]

    def is_number(column: str) -> bool:
        return NUMBER_TYPES.issuperset(map(type, values(column)))

    columns = column_mapping.map_columns(names, options, name=name, every=False, is_number=is_number)
    if has_matrix:
        return columns, 1
    if columns.embedding_columns:
        return columns, len(columns.embedding_columns)
    lists = [column for column in names if any(map(is_list_of_numbers, values(column)))]
    embedding = column_mapping.require_embedding(columns, name, names, lists)
    if embedding is None:
        return columns, 0
    return columns, column_mapping.infer_dimension(values(embedding), options, name, is_empty=not sample)


def is_list_of_numbers(value: Any) -> bool:
    """Whether the value can be a vector."""
    return type(value) is list and len(value) > 0 and NUMBER_TYPES.issuperset(map(type, value))


def _line_ranges(source: Source, settings: Settings, *, skip_blank: bool) -> Iterator[FileRange]:
    """Ranges of about `import_range_bytes`, of complete lines; with `skip_blank`, `line` does not count blank lines."""
    start, line, position, line_count = 0, 1, 0, 0
    open_line = b""  # the start of an incomplete line: enough to know whether it is blank
    for chunk in streams.read_raw(source, 0, source.size, min(CHUNK_BYTES, settings.import_range_bytes)):
        length = 0
        if skip_blank:
            lines = (open_line + chunk).split(b"\n")
            open_line = lines.pop()[:2]
            line_count += sum(text.strip() not in _BLANK_LINES for text in lines)
        else:
            # Half the time of `bytes.count`, in a pass over the whole file.
            line_count += int(np.count_nonzero(np.frombuffer(chunk, dtype=np.uint8) == ord("\n")))
        if position + len(chunk) - start >= settings.import_range_bytes:
            length = chunk.rfind(b"\n") + 1
        if length:
            yield FileRange(start, position + length, line)
            start, line = position + length, line + line_count
            line_count = 0
        position += len(chunk)
    if position > start or not position:
        yield FileRange(start, position, line)


def read_chunks(
    source: Source, plan: Plan, file_range: FileRange, *, position: int, lines_read: int, settings: Settings
) -> Iterator[RowChunk]:
    """The rows of a range. With a `.npy` file, row i of the file, blank lines not counted, has vector i."""
    vectors = None
    if plan.vectors is not None:
        matrix = source.sibling(plan.vectors.rpartition("/")[2])
        if matrix is None:
            raise ImportRejected(f"{plan.vectors} is gone")
        vectors = Vectors(matrix, settings)
    number = lines_read
    builder, begin = RowChunkBuilder(plan.dimension), position
    rows = _Rows(plan, vectors)
    end = position
    for line in streams.lines(source, plan.compression, position, file_range.end, settings, encoding=plan.encoding):
        end, line_number = line.end, file_range.line + number
        if line.text is None:
            builder.reject(line_number, f"the line has more than {settings.import_max_line_bytes} bytes")
            number += 1
        elif line.text.strip(_BLANK):
            rows.add(builder, line_number, line)
            number += 1
        elif vectors is None:
            number += 1
        count = len(builder.ids) + len(builder.rejected) + len(rows.group)
        if count >= plan.batch_rows or end - begin >= _CHUNK_BYTES:
            rows.end_group(builder)
            yield builder.build(end, number)
            builder, begin = RowChunkBuilder(plan.dimension), end
    rows.end_group(builder)
    if end > begin or not lines_read:
        yield builder.build(end, number)


class _Rows:
    """Turns lines into rows, a `group` at a time: the numbers of its lines, ids and objects."""

    def __init__(self, plan: Plan, vectors: Vectors | None) -> None:
        self._plan = plan
        self._vectors = vectors
        self._mapper = RowMapper(plan.columns)
        self.group: list[tuple[int, str, dict[str, Any]]] = []
        self._group_bytes = 0

    def add(self, builder: RowChunkBuilder, number: int, line: streams.Line) -> None:
        """Add the row of a line, `number` from 1, to the group, or reject it."""
        assert line.text is not None
        columns = self._plan.columns
        try:
            record = parse_line(line.text, first=line.start == 0)
            value = record.get(columns.id) if columns.id is not None else None
            identifier = row_id(self._plan.name, line.start) if value is None else row_values.identifier(value)
        except RowError as bad:
            builder.reject(number, str(bad))
            return
        self.group.append((number, identifier, record))
        self._group_bytes += len(line.text)
        if len(self.group) >= GROUP_ROWS or self._group_bytes >= _GROUP_BYTES:
            self.end_group(builder)

    def end_group(self, builder: RowChunkBuilder) -> None:
        """Add the rows of the group to a chunk, or reject them."""
        for (number, identifier, record), vector in zip(self.group, self._embeddings(builder.dimension), strict=True):
            try:
                if isinstance(vector, RowError):
                    raise vector
                builder.add(number, identifier, vector, self._mapper.row(record, builder))
            except RowError as bad:
                builder.reject(number, str(bad))
        self.group, self._group_bytes = [], 0

    def _embeddings(self, dimension: int) -> list[bytes | RowError]:
        """The embedding of each row of the group, or the reason for which it has none."""
        if self._vectors is not None:
            return self._vectors.find_rows([number - 1 for number, _, _ in self.group])
        return self._mapper.embeddings([record for _, _, record in self.group], dimension)


def parse_line(line: bytes, *, first: bool) -> dict[str, Any]:
    """The object of a line. Raises RowError."""
    line = line.removeprefix(_BYTE_ORDER_MARK) if first else line
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            record = loads_with_nan(line)
        except ValueError:
            raise RowError(f"no JSON: {error}") from None
    if type(record) is not dict:
        raise RowError("no JSON object")
    return record


def loads_with_nan(text: bytes) -> Any:
    """The value of a text with `NaN` or `Infinity`, as Python's `json` writes it. Raises ValueError for other text."""
    if not any(number in text for number in _NOT_FINITE):
        raise ValueError(text[:20])
    value = json.loads(text)
    orjson.dumps(value)  # rejects lone surrogates, which `json` reads
    return value


def write(path: Path, stream: RecordStream, wrote: Callable[[int], None], *, compressed: bool) -> int:
    """Write the records; returns their number. `wrote` gets the number of each page."""
    count = 0
    with path.open("wb") as plain:
        file: IO[bytes] = plain
        if compressed:
            # Without a name and a time: equal records make equal files.
            file = gzip.GzipFile("", "wb", _LEVEL, plain, mtime=0)  # type: ignore[assignment]
        with file:
            for page in stream.pages:
                file.write(b"".join(_lines(page)))
                count += len(page.ids)
                wrote(len(page.ids))
    return count


def _lines(page: Records) -> list[bytes]:
    missing = [None] * len(page.ids)
    embeddings: Any = missing if page.embeddings is None else page.embeddings
    lines = []
    for name, embedding, document, uri, metadata in zip(
        page.ids, embeddings, page.documents or missing, page.uris or missing, page.metadatas or missing, strict=True
    ):
        record: dict[str, Any] = {"id": name, "embedding": embedding}
        if document is not None:
            record["document"] = document
        if uri is not None:
            record["uri"] = uri
        if metadata is not None:
            record["metadata"] = orjson.Fragment(metadata)
        lines.append(orjson.dumps(record, option=_OPTIONS))
    return lines
