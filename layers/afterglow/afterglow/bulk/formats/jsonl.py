"""JSON Lines: an object a line, blank lines between them are skipped."""

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

_PIECE_BYTES = 64 * 1024 * 1024
_BLANK = b" \t\r"
_MARK = b"\xef\xbb\xbf"


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
    """The rows of a range from `position` on, where `looked_at` lines of it came before. Raises Refused.

    With `vectors`, row i of the file, blank lines not counted, has vector i.
    """
    number = lines_read
    gathered, begin = RowChunkBuilder(plan.dimension), position
    reading = _Rows(plan, vectors)
    end = position
    for line in streams.lines(source, plan.compression, position, file_range.end, settings):
        end, at = line.end, file_range.line + number
        if line.text is None:
            gathered.reject(at, f"the line has more than {settings.import_max_line_bytes} bytes")
            number += 1
        elif line.text.strip(_BLANK):
            try:
                reading.take(gathered, at, line)
            except RowError as bad:
                gathered.reject(at, str(bad))
            number += 1
        elif vectors is None:
            number += 1
        enough = len(gathered.ids) + len(gathered.rejected) >= plan.batch_rows or end - begin >= _PIECE_BYTES
        if enough:
            yield gathered.build(end, number)
            gathered, begin = RowChunkBuilder(plan.dimension), end
    if end > begin or not lines_read:
        yield gathered.build(end, number)


class _Rows:
    """What turns a line into a row."""

    def __init__(self, plan: Plan, vectors: Vectors | None) -> None:
        self._plan = plan
        self._vectors = vectors

    def take(self, into: RowChunkBuilder, at: int, line: streams.Line) -> None:
        """Raises Bad."""
        assert line.text is not None
        columns = self._plan.columns
        record = parse_line(line.text, first=line.start == 0)
        given = record.get(columns.id) if columns.id is not None else None
        identifier = row_id(self._plan.name, line.start) if given is None else row_values.identifier(given)
        if self._vectors is not None:
            vector = self._vectors.row(at - 1)
        else:
            vector = row_values.encode_embedding(
                None if columns.embedding is None else record.get(columns.embedding), into.dimension
            )
        into.add(at, identifier, vector, to_row(record, columns))


def parse_line(line: bytes, *, first: bool) -> dict[str, Any]:
    """The object of a line. Raises Bad."""
    try:
        record = orjson.loads(line.removeprefix(_MARK) if first else line)
    except orjson.JSONDecodeError as error:
        raise RowError(f"no JSON: {error}") from None
    if type(record) is not dict:
        raise RowError("no JSON object")
    return record


def to_row(record: Mapping[str, Any], columns: ColumnMapping) -> Row:
    """What a record has beside its id and its embedding. Raises Bad."""
    if columns.record is not None:
        found = record.get(columns.record)
        if found is not None and type(found) is not dict:
            raise RowError(f"{columns.record} is no object")
        others: Mapping[str, Any] = found or {}
    elif columns.others is not None:
        others = {key: record[key] for key in columns.others if key in record}
    else:
        named = (columns.id, columns.embedding, columns.document, columns.uri)
        others = {key: value for key, value in record.items() if key not in named}
    return Row(
        row_values.optional_text(None if columns.document is None else record.get(columns.document), "document"),
        row_values.optional_text(None if columns.uri is None else record.get(columns.uri), "uri"),
        row_values.metadata(others),
    )


_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
# Level 3 takes half as long again as 1 and 8 % less space; 6 takes four times as long.
_LEVEL = 1


def write(path: Path, contents: RecordStream, wrote: Callable[[int], None], *, compressed: bool) -> int:
    """Write the records; how many."""
    count = 0
    with path.open("wb") as plain:
        file: IO[bytes] = plain
        if compressed:
            # Neither a name nor a time: equal records make equal files.
            file = gzip.GzipFile("", "wb", _LEVEL, plain, mtime=0)  # type: ignore[assignment]
        with file:
            for page in contents.pages:
                file.write(b"".join(_lines(page)))
                count += len(page.ids)
                wrote(len(page.ids))
    return count


def _lines(page: Records) -> list[bytes]:
    nothing = [None] * len(page.ids)
    embeddings: Any = nothing if page.embeddings is None else page.embeddings
    lines = []
    for name, embedding, document, uri, metadata in zip(
        page.ids, embeddings, page.documents or nothing, page.uris or nothing, page.metadatas or nothing, strict=True
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
