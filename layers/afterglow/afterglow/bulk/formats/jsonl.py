"""JSON Lines: reads and writes files with one JSON object per line; blank lines are skipped.

The reader takes any keys (`ColumnMapping`); the writer's are id, embedding, document, uri and metadata. Compression of
the writer is deterministic: equal records make equal files.
"""

import gzip
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import orjson

from afterglow.bulk import row_values
from afterglow.bulk.endpoint import RecordStream
from afterglow.bulk.formats import streams
from afterglow.bulk.formats.npy import Vectors
from afterglow.bulk.row_chunks import Row, RowChunk, RowChunkBuilder, row_id
from afterglow.bulk.row_values import RowError
from afterglow.bulk.sources import Source
from afterglow.bulk.types import ColumnMapping, FileRange, Plan
from afterglow.collection.types import Records
from afterglow.settings import Settings

_CHUNK_BYTES = 64 * 1024 * 1024
_BLANK = b" \t\r"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
# Level 3 takes half as long again as 1 and 8 % less space; 6 takes four times as long.
_LEVEL = 1


def read_chunks(
    source: Source,
    vectors: Vectors | None,
    plan: Plan,
    file_range: FileRange,
    *,
    position: int,
    lines_read: int,
    settings: Settings,
) -> Iterator[RowChunk]:
    """The rows of a range from `position` on, after `lines_read` lines of it. Raises ImportRejected.

    With `vectors`, row i of the file, blank lines not counted, has vector i.
    """
    number = lines_read
    builder, begin = RowChunkBuilder(plan.dimension), position
    rows = _Rows(plan, vectors)
    end = position
    for line in streams.lines(source, plan.compression, position, file_range.end, settings):
        end, line_number = line.end, file_range.line + number
        if line.text is None:
            builder.reject(line_number, f"the line has more than {settings.import_max_line_bytes} bytes")
            number += 1
        elif line.text.strip(_BLANK):
            try:
                rows.add(builder, line_number, line)
            except RowError as bad:
                builder.reject(line_number, str(bad))
            number += 1
        elif vectors is None:
            number += 1
        is_full = len(builder.ids) + len(builder.rejected) >= plan.batch_rows or end - begin >= _CHUNK_BYTES
        if is_full:
            yield builder.build(end, number)
            builder, begin = RowChunkBuilder(plan.dimension), end
    if end > begin or not lines_read:
        yield builder.build(end, number)


class _Rows:
    """Turns lines into rows."""

    def __init__(self, plan: Plan, vectors: Vectors | None) -> None:
        self._plan = plan
        self._vectors = vectors

    def add(self, builder: RowChunkBuilder, number: int, line: streams.Line) -> None:
        """Add the row of a line, `number` from 1. Raises RowError."""
        assert line.text is not None
        columns = self._plan.columns
        record = parse_line(line.text, first=line.start == 0)
        value = record.get(columns.id) if columns.id is not None else None
        identifier = row_id(self._plan.name, line.start) if value is None else row_values.identifier(value)
        if self._vectors is not None:
            vector = self._vectors.row(number - 1)
        else:
            vector = row_values.encode_embedding(
                None if columns.embedding is None else record.get(columns.embedding), builder.dimension
            )
        builder.add(number, identifier, vector, to_row(record, columns))


def parse_line(line: bytes, *, first: bool) -> dict[str, Any]:
    """The object of a line. Raises RowError."""
    try:
        record = orjson.loads(line.removeprefix(_BYTE_ORDER_MARK) if first else line)
    except orjson.JSONDecodeError as error:
        raise RowError(f"no JSON: {error}") from None
    if type(record) is not dict:
        raise RowError("no JSON object")
    return record


def to_row(record: Mapping[str, Any], columns: ColumnMapping) -> Row:
    """The values of a record other than its id and embedding. Raises RowError."""
    if columns.record is not None:
        value = record.get(columns.record)
        if value is not None and type(value) is not dict:
            raise RowError(f"{columns.record} is not an object")
        others: Mapping[str, Any] = value or {}
    elif columns.others is not None:
        others = {key: record[key] for key in columns.others if key in record}
    else:
        roles = (columns.id, columns.embedding, columns.document, columns.uri)
        others = {key: value for key, value in record.items() if key not in roles}
    return Row(
        row_values.optional_text(None if columns.document is None else record.get(columns.document), "document"),
        row_values.optional_text(None if columns.uri is None else record.get(columns.uri), "uri"),
        row_values.metadata(others),
    )


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
