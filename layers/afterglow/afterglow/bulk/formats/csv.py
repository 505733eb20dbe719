"""Reads CSV and TSV: a header, then one record per row, which may span lines. Python's `csv` parses it.

The type of a column is decided once, from a sample (`infer_types`): a `1` must not be a number in one row if the next
row has `A1`. An empty field is a missing value. Embeddings, metadata objects and lists are JSON. A file is one range:
a line break may be part of a field.
"""

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson

from afterglow.bulk import row_values
from afterglow.bulk.formats import column_mapping, streams
from afterglow.bulk.formats.column_mapping import RECORD, SAMPLE_ROWS
from afterglow.bulk.formats.format import Inspection
from afterglow.bulk.formats.jsonl import to_row
from afterglow.bulk.row_chunks import RowChunk, RowChunkBuilder, row_id
from afterglow.bulk.row_values import RowError
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sources import Source
from afterglow.bulk.types import Compression, FileRange, ImportRejected, Plan
from afterglow.settings import Settings

DELIMITERS = ",\t;|"
_CHUNK_BYTES = 64 * 1024 * 1024
_NAME = re.compile(r"[+-]?0[0-9]|.*_|\s|.*\s$")
"""Text that Python parses as a number but that is rather a name: 007, 1_2."""
_BOOLS = {"true": True, "false": False}


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
    ) -> None:
        self.end, self.line = start, line
        csv.field_size_limit(settings.import_max_line_bytes)
        self._max_line_bytes = settings.import_max_line_bytes
        self._is_too_long = False
        self._lines = streams.lines(source, compression, start, -1, settings)
        self._reader = csv.reader(self._read_lines(), delimiter=delimiter)

    def next(self) -> list[str] | None:
        """The next record, None after the last. Raises RowError; the following record can still be read."""
        self._is_too_long = False
        try:
            record = next(self._reader, None)
        except csv.Error as error:
            raise RowError(f"not CSV: {error}") from None
        if self._is_too_long:
            raise RowError(f"a line has more than {self._max_line_bytes} bytes")
        if record is not None:
            try:
                "".join(record).encode()
            except UnicodeEncodeError:
                raise RowError("it is not UTF-8") from None
        return record

    def _read_lines(self) -> Iterator[str]:
        for line in self._lines:
            self.end, self.line = line.end, self.line + 1
            # `next` rejects the record of a line that is too long or not UTF-8.
            self._is_too_long = self._is_too_long or line.text is None
            text = (line.text or b"").decode("utf-8", "surrogateescape") + "\n"
            yield text.removeprefix("\ufeff") if line.start == 0 else text


def inspect(source: Source, compression: Compression, options: Sidecar, settings: Settings) -> Inspection:
    """Delimiter and columns from the header; types and dimension from the first records."""
    delimiter, header = read_header(source, compression, options.delimiter, settings)
    sample = list(_sample(CsvReader(source, compression, delimiter, settings)))[1:]
    rows = [record for record in sample if len(record) == len(header)]
    types = {**infer_types(header, sample), **options.types}
    is_record = types.get(RECORD) == "json" and all(row[header.index(RECORD)][:1] in ("", "{") for row in rows)
    columns = column_mapping.map_columns(header, options, is_record=is_record, name=source.name, every=True)
    embedding = header.index(column_mapping.require_embedding(columns, source.name))
    values = [row[embedding] for row in rows]
    dimension = column_mapping.infer_dimension(values, options, source.name, is_empty=False)
    return Inspection(
        replace(columns, types=types), dimension, (FileRange(0, -1, 1),), delimiter=delimiter, header=header
    )


def _sample(records: CsvReader) -> Iterator[list[str]]:
    for _ in range(SAMPLE_ROWS):
        start = records.end
        try:
            record = records.next()
        except RowError:
            if records.end == start:
                return
            continue
        if record is None:
            return
        if record:
            yield record


def read_header(
    source: Source, compression: Compression, delimiter: str | None, settings: Settings
) -> tuple[str, tuple[str, ...]]:
    """The delimiter and the names of the columns. Raises ImportRejected."""
    first = next(streams.lines(source, compression, 0, -1, settings), None)
    if first is None or first.text is None:
        raise ImportRejected(
            f"{source.name} has no header" if first is None else f"{source.name}: its first line is too long"
        )
    if delimiter is None:
        names_line = first.text
        delimiter = max(DELIMITERS, key=lambda character: names_line.count(character.encode()))
    try:
        header = CsvReader(source, compression, delimiter, settings).next()
    except RowError as bad:
        raise ImportRejected(f"{source.name} has no header: {bad}") from None
    names = tuple(name.strip() for name in header or ())
    if not any(names) or len(set(names)) != len(names):
        raise ImportRejected(f"{source.name} has no header of distinct names: {', '.join(names)[:200]!r}")
    return delimiter, names


def infer_types(header: Sequence[str], records: Iterable[Sequence[str]]) -> dict[str, str]:
    """The types of the columns in a sample: `int`, `float`, `bool`, `json` (lists and objects) or `str`."""
    types: dict[str, str] = {}
    rows = [record for record in records if len(record) == len(header)]
    for index, name in enumerate(header):
        fields = [row[index] for row in rows if row[index] != ""]
        candidates = ("int", "float", "bool", "json")
        matching = (
            candidate for candidate in candidates if fields and all(_fits(candidate, field) for field in fields)
        )
        types[name] = next(matching, "str")
    return types


def read_chunks(
    source: Source, plan: Plan, file_range: FileRange, *, position: int, lines_read: int, settings: Settings
) -> Iterator[RowChunk]:
    """The rows of the file from `position` on."""
    del file_range  # the whole file
    records = CsvReader(source, plan.compression, plan.delimiter, settings, start=position, line=1 + lines_read)
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
                identifier, vector = _id_and_embedding(record, plan, start)
                values = convert(record, plan)
                builder.add(line, identifier, vector, to_row(values, plan.columns))
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


def _id_and_embedding(record: Sequence[str], plan: Plan, start: int) -> tuple[str, bytes]:
    header, columns = plan.header, plan.columns
    if len(record) != len(header):
        raise RowError(f"it has {len(record)} fields, the header has {len(header)}")
    identifier = "" if columns.id is None else record[header.index(columns.id)]
    embedding = "" if columns.embedding is None else record[header.index(columns.embedding)]
    return identifier or row_id(plan.name, start), row_values.encode_embedding(embedding or None, plan.dimension)


def convert(record: Sequence[str], plan: Plan) -> dict[str, Any]:
    """The values of a record by column name, converted to the columns' types, without empty fields. Raises RowError."""
    columns = plan.columns
    skipped = {columns.id, columns.embedding}
    text_columns = {columns.document, columns.uri}
    values: dict[str, Any] = {}
    for name, text in zip(plan.header, record, strict=True):
        if text == "" or name in skipped:
            continue
        column_type = (
            "json" if name == columns.record else "str" if name in text_columns else columns.types.get(name, "str")
        )
        try:
            values[name] = _convert(column_type, text)
        except ValueError:
            raise RowError(
                f"column {name} holds {text[:60]!r}, where others hold {column_type}: a sidecar can set the type"
            ) from None
    return values


def _fits(column_type: str, text: str) -> bool:
    try:
        _convert(column_type, text)
    except ValueError:
        return False
    return True


def _convert(column_type: str, text: str) -> Any:
    match column_type:
        case "int":
            value = int(text)
            if _NAME.match(text):
                raise ValueError(text)
            return value
        case "float":
            number = float(text)
            if not math.isfinite(number) or _NAME.match(text):
                raise ValueError(text)
            return number
        case "bool":
            try:
                return _BOOLS[text.lower()]
            except KeyError:
                raise ValueError(text) from None
        case "json":
            if text[0] not in "[{":
                raise ValueError(text)
            return orjson.loads(text)
        case _:
            return text
