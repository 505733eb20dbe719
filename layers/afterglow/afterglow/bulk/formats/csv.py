"""Reads and writes CSV and TSV: a header, then one record per row, which may span lines. Python's `csv` parses it.

The type of a column is decided once, from a sample (`field_types`): a `1` must not be a number in one row if the next
row has `A1`. An empty field is a missing value. Embeddings, metadata objects and lists are JSON. A file is one range:
a line break may be part of a field. The writer's columns are id, embedding, document, uri and metadata; a document that
is empty is missing when the file is read again.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from afterglow.bulk.endpoint import RecordStream
from afterglow.bulk.formats import column_mapping, field_types, streams
from afterglow.bulk.formats.column_mapping import SAMPLE_ROWS
from afterglow.bulk.formats.format import Inspection
from afterglow.bulk.formats.row_mapper import RowMapper
from afterglow.bulk.row_chunks import RowChunk, RowChunkBuilder, row_id
from afterglow.bulk.row_values import RowError
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sources import Source
from afterglow.bulk.types import Compression, FileRange, ImportRejected, Plan
from afterglow.settings import Settings

_LINE_ENDS = "its lines end by a carriage return alone: save it with line feeds"
_SEPARATOR = re.compile("sep=(.)", re.IGNORECASE)
"""The first line of a file for Excel, which names the delimiter."""
DELIMITERS = ",\t;|"
ENCODING_HINT = "convert it, or give its encoding (--encoding latin-1, utf-16, …)"
_CHUNK_BYTES = 64 * 1024 * 1024


class CsvReader:
    """The records of a CSV from offset `start` on; `end` and `line` are the position of the next record."""

    def __init__(
        self,
        source: Source,
        compression: Compression,
        delimiter: str,
        settings: Settings,
        *,
        start: int = 0,
        line: int = 1,
        encoding: str = "",
    ) -> None:
        self.end, self.line = start, line
        self._is_at_end = False
        self._record_lines: list[str] = []
        self._first_line = line
        csv.field_size_limit(settings.import_max_line_bytes)
        self._max_line_bytes = settings.import_max_line_bytes
        self._is_too_long = False
        self._lines = streams.lines(source, compression, start, -1, settings, encoding=encoding)
        self._delimiter = delimiter
        self._reader = csv.reader(self._read_lines(), **_dialect(delimiter))

    def next(self) -> list[str] | None:
        """The next record, None after the last. Raises RowError; the following record can still be read."""
        self._is_too_long = False
        self._record_lines.clear()
        first_line = self._first_line = self.line
        try:
            record = next(self._reader, None)
        except csv.Error as error:
            problem = _LINE_ENDS if "new-line" in str(error) else f"not CSV: {error}"
            raise RowError(self._open_quote_problem(first_line) or problem) from None
        if len(self._record_lines) > 1 and self._is_at_end and "unexpected end of data" in self._strict_problem():
            raise RowError(self._open_quote_problem(first_line) or "a quote is never closed")
        if self._is_too_long:
            raise RowError(f"a line has more than {self._max_line_bytes} bytes")
        if record is not None:
            try:
                "".join(record).encode()
            except UnicodeEncodeError:
                raise RowError(f"not UTF-8 at line {first_line}: {ENCODING_HINT}") from None
        return record

    def quote_problem(self) -> str | None:
        """Why the last record has a wrong number of fields, if that is an open quote: one of a later line ends it."""
        return self._open_quote_problem(self._first_line) if self._strict_problem() else None

    def _strict_problem(self) -> str:
        """What is wrong with the last record, of which Python takes what it can."""
        try:
            list(csv.reader(self._record_lines, strict=True, **_dialect(self._delimiter)))
        except csv.Error as error:
            return str(error)
        return ""

    def _open_quote_problem(self, first_line: int) -> str | None:
        """The line of the last quote that none follows on its line, if the record has several lines."""
        odd = [number for number, line in enumerate(self._record_lines) if line.count('"') % 2]
        if not odd or len(self._record_lines) < 2:
            return None
        return f"a quote opened at line {first_line + odd[-1]} is never closed"

    def _read_lines(self) -> Iterator[str]:
        for line in self._lines:
            self.end, self.line = line.end, self.line + 1
            # `next` rejects the record of a line that is too long or not UTF-8.
            self._is_too_long = self._is_too_long or line.text is None
            text = (line.text or b"").decode("utf-8", "surrogateescape") + "\n"
            if line.start == 0:
                text = text.removeprefix("\ufeff")
                if _SEPARATOR.fullmatch(text.rstrip()):
                    continue
            self._record_lines.append(text)
            yield text
        self._is_at_end = True


def _dialect(delimiter: str) -> dict[str, Any]:
    """Python's options for a delimiter; after one with a space, the spaces before a field do not belong to it."""
    return {"delimiter": delimiter[0], "skipinitialspace": len(delimiter) > 1}


def inspect(source: Source, compression: Compression, options: Sidecar, settings: Settings) -> Inspection:
    """Delimiter and columns from the header; types and dimension from the first records."""
    encoding = streams.encoding_of(source, compression, settings, options.encoding)
    delimiter, header = read_header(source, compression, options.delimiter, settings, encoding)
    sample = list(_sample(CsvReader(source, compression, delimiter, settings, encoding=encoding), source.name))[1:]
    rows = [record for record in sample if len(record) == len(header)]
    types = {**field_types.infer_types(header, sample), **options.types}

    def is_number(column: str) -> bool:
        return types[column] in ("int", "float")

    columns = column_mapping.map_columns(header, options, name=source.name, every=True, is_number=is_number)
    if columns.embedding_columns:
        dimension = len(columns.embedding_columns)
        types |= dict.fromkeys(columns.embedding_columns, "float")
    else:
        lists = [name for name, column_type in types.items() if column_type == "json"]
        embedding = column_mapping.require_embedding(columns, source.name, header, lists)
        values = [] if embedding is None else [row[header.index(embedding)] for row in rows]
        dimension = (
            0
            if embedding is None
            else column_mapping.infer_dimension(values, options, source.name, is_empty=not sample)
        )
    return Inspection(
        replace(columns, types=types),
        dimension,
        (FileRange(0, -1, 1),),
        delimiter=delimiter,
        header=header,
        encoding=encoding,
    )


def _sample(records: CsvReader, name: str) -> Iterator[list[str]]:
    """The first records. Raises ImportRejected if half of them are not UTF-8, as in another encoding."""
    problems: list[str] = []
    count = 0
    for record in _records(records, problems):
        count += 1
        yield record
    if len(problems) * 2 >= max(count, 2):
        raise ImportRejected(f"{name} is {problems[0]}")


def _records(records: CsvReader, encoding_problems: list[str]) -> Iterator[list[str]]:
    for _ in range(SAMPLE_ROWS):
        start = records.end
        try:
            record = records.next()
        except RowError as error:
            if ENCODING_HINT in str(error):
                encoding_problems.append(str(error))
            if records.end == start:
                return
            continue
        if record is None:
            return
        if record:
            yield record


def read_header(
    source: Source, compression: Compression, delimiter: str | None, settings: Settings, encoding: str = ""
) -> tuple[str, tuple[str, ...]]:
    """The delimiter and the names of the columns, of which the first may be empty. Raises ImportRejected."""
    first = next(streams.lines(source, compression, 0, -1, settings, encoding=encoding), None)
    if first is None or first.text is None:
        raise ImportRejected(
            f"{source.name} has no header" if first is None else f"{source.name}: its first line is too long"
        )
    separator = _SEPARATOR.fullmatch(first.text.decode("utf-8", "replace").removeprefix("\ufeff").rstrip())
    if delimiter is None and separator is not None:
        delimiter = separator[1]
    if delimiter is None:
        names_line = first.text
        delimiter = max(DELIMITERS, key=lambda character: names_line.count(character.encode()))
        count = names_line.count(delimiter.encode())
        delimiter += " " * (count > 0 and names_line.count(f"{delimiter} ".encode()) == count)
    try:
        header = CsvReader(source, compression, delimiter, settings, encoding=encoding).next()
    except RowError as bad:
        raise ImportRejected(f"{source.name} has no header: {bad}") from None
    if b"\0" in first.text:
        raise ImportRejected(f"{source.name} is not UTF-8 at line 1: {ENCODING_HINT}")
    names = tuple(name.strip() for name in header or ())
    column_mapping.check_header(names, source.name)
    return delimiter, names


def read_chunks(
    source: Source, plan: Plan, file_range: FileRange, *, position: int, lines_read: int, settings: Settings
) -> Iterator[RowChunk]:
    """The rows of the file from `position` on."""
    del file_range  # the whole file
    records = CsvReader(
        source,
        plan.compression,
        plan.delimiter,
        settings,
        start=position,
        line=1 + lines_read,
        encoding=plan.encoding,
    )
    mapper = RowMapper(plan.columns)
    builder, begin, row = RowChunkBuilder(plan.dimension), position, 0
    if position == 0:
        records.next()
    while True:
        start, line = records.end, records.line
        try:
            record = records.next()
            if record is None:
                break
            if record:
                if len(record) != len(plan.header):
                    fields = f"it has {len(record)} fields, the header has {len(plan.header)}"
                    raise RowError(records.quote_problem() or fields)
                identifier = _id(record, plan, start)
                values = convert(record, plan)
                vector = mapper.embedding(values, plan.dimension)
                builder.add(line, identifier, vector, mapper.row(values, builder))
        except RowError as bad:
            if records.end == start:
                break
            builder.reject(line, str(bad))
        row += 1
        if row >= plan.batch_rows or records.end - begin >= _CHUNK_BYTES:
            yield builder.build(records.end, records.line - 1)
            builder, begin, row = RowChunkBuilder(plan.dimension), records.end, 0
    if records.end > begin or not lines_read:
        yield builder.build(records.end, records.line - 1)


def _id(record: Sequence[str], plan: Plan, start: int) -> str:
    name = plan.columns.id
    return ("" if name is None else record[plan.header.index(name)]) or row_id(plan.name, start)


def convert(record: Sequence[str], plan: Plan) -> dict[str, Any]:
    """The values of a record by column name, converted to the columns' types, without empty fields. Raises RowError."""
    columns = plan.columns
    skipped = {columns.id, *columns.ignored}
    text_columns = {columns.document, columns.uri, columns.embedding}
    values: dict[str, Any] = {}
    for name, text in zip(plan.header, record, strict=True):
        if text == "" or name in skipped:
            continue
        column_type = "str" if name in text_columns else columns.types.get(name, "str")
        if name == columns.record:
            values[name] = field_types.object_or_text(text)
            continue
        try:
            values[name] = field_types.convert(column_type, text)
        except ValueError:
            raise RowError(
                f"column {name} holds {text[:60]!r}, where others hold {column_type}: a sidecar can set the type"
            ) from None
    return values


def write(path: Path, stream: RecordStream, wrote: Callable[[int], None]) -> int:
    """Write the records; returns their number. `wrote` gets the number of each page."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        # With line ends of `\r\n`, a carriage return alone in a field is quoted, too.
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(["id", "embedding", "document", "uri", "metadata"])
        for page in stream.pages:
            missing: list[Any] = [None] * len(page.ids)
            assert page.embeddings is not None
            embeddings = [orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY).decode() for row in page.embeddings]
            metadatas = [None if value is None else value.decode() for value in page.metadatas or missing]
            columns = (page.ids, embeddings, page.documents or missing, page.uris or missing, metadatas)
            writer.writerows(zip(*columns, strict=True))
            count += len(page.ids)
            wrote(len(page.ids))
    return count
