"""CSV, and TSV: a header, then a record a row, which may go over several lines. Python's own reader parses it.

What a column's values are is decided once, from a sample (`types_of`), for a `1` in one row must not be a number where
the next row says `A1`. An empty field is as if it were not there. Embeddings, metadata objects and lists are JSON.
"""

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from afterglow.bulk import row_values
from afterglow.bulk.formats import streams
from afterglow.bulk.formats.jsonl import to_row
from afterglow.bulk.row_chunks import RowChunk, RowChunkBuilder, row_id
from afterglow.bulk.row_values import RowError
from afterglow.bulk.sources import Source
from afterglow.bulk.types import Compression, ImportRejected, Plan
from afterglow.settings import Settings

DELIMITERS = ",\t;|"
_PIECE_BYTES = 64 * 1024 * 1024
_NAME = re.compile(r"[+-]?0[0-9]|.*_|\s|.*\s$")
"""What Python reads as a number, but is rather a name: 007, 1_2."""
_BOOLS = {"true": True, "false": False}


class CsvReader:
    """The records of a CSV from offset `start` on: `end` and `line` are where the next one begins."""

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
        self._most = settings.import_max_line_bytes
        self._is_too_long = False
        self._lines = streams.lines(source, compression, start, -1, settings)
        self._reader = csv.reader(self._texts(), delimiter=delimiter)

    def next(self) -> list[str] | None:
        """The next record, None after the last. Raises Bad; then the one after it may be asked for."""
        self._is_too_long = False
        try:
            record = next(self._reader, None)
        except csv.Error as error:
            raise RowError(f"no CSV: {error}") from None
        if self._is_too_long:
            raise RowError(f"a line has more than {self._most} bytes")
        if record is not None:
            try:
                "".join(record).encode()
            except UnicodeEncodeError:
                raise RowError("it is not UTF-8") from None
        return record

    def _texts(self) -> Iterator[str]:
        for line in self._lines:
            self.end, self.line = line.end, self.line + 1
            # What is too long, or no UTF-8, is told by `next`, for its record alone.
            self._is_too_long = self._is_too_long or line.text is None
            text = (line.text or b"").decode("utf-8", "surrogateescape") + "\n"
            yield text.removeprefix("\ufeff") if line.start == 0 else text


def read_header(
    source: Source, compression: Compression, delimiter: str | None, settings: Settings
) -> tuple[str, tuple[str, ...]]:
    """The delimiter and the names of the columns. Raises Refused."""
    first = next(streams.lines(source, compression, 0, -1, settings), None)
    if first is None or first.text is None:
        raise ImportRejected(
            f"{source.name} has no header" if first is None else f"{source.name}: its first line is too long"
        )
    if delimiter is None:
        names_line = first.text
        delimiter = max(DELIMITERS, key=lambda each: names_line.count(each.encode()))
    try:
        header = CsvReader(source, compression, delimiter, settings).next()
    except RowError as bad:
        raise ImportRejected(f"{source.name} has no header: {bad}") from None
    names = tuple(each.strip() for each in header or ())
    if not any(names) or len(set(names)) != len(names):
        raise ImportRejected(f"{source.name} has no header of names that differ: {', '.join(names)[:200]!r}")
    return delimiter, names


def infer_types(header: Sequence[str], records: Iterable[Sequence[str]]) -> dict[str, str]:
    """What the columns of a sample hold: `int`, `float`, `bool`, `json` (lists and objects) or `str`."""
    found: dict[str, str] = {}
    rows = [record for record in records if len(record) == len(header)]
    for at, name in enumerate(header):
        given = [row[at] for row in rows if row[at] != ""]
        kinds = ("int", "float", "bool", "json")
        found[name] = next((kind for kind in kinds if given and all(_fits(kind, each) for each in given)), "str")
    return found


def read_chunks(source: Source, plan: Plan, position: int, lines_read: int, settings: Settings) -> Iterator[RowChunk]:
    """The rows from `position` on, where `looked_at` lines came before. Raises Refused."""
    records = CsvReader(source, plan.compression, plan.delimiter, settings, start=position, line=1 + lines_read)
    gathered, begin, row = RowChunkBuilder(plan.dimension), position, 0
    if position == 0:
        records.next()
    while True:
        start, line = records.end, records.line
        try:
            record = records.next()
            if record is None:
                break
            if record:
                identifier, vector = _key_of(record, plan, start)
                named = convert(record, plan)
                gathered.add(line, identifier, vector, to_row(named, plan.columns))
        except RowError as bad:
            if records.end == start:
                break
            gathered.reject(line, str(bad))
        row += 1
        if row >= plan.batch_rows or records.end - begin >= _PIECE_BYTES:
            yield gathered.build(records.end, records.line - 1)
            gathered, begin, row = RowChunkBuilder(plan.dimension), records.end, 0
    if records.end > begin or not lines_read:
        yield gathered.build(records.end, records.line - 1)


def _key_of(record: Sequence[str], plan: Plan, start: int) -> tuple[str, bytes]:
    header, columns = plan.header, plan.columns
    if len(record) != len(header):
        raise RowError(f"it has {len(record)} fields, the header has {len(header)}")
    given = "" if columns.id is None else record[header.index(columns.id)]
    embedding = "" if columns.embedding is None else record[header.index(columns.embedding)]
    return given or row_id(plan.name, start), row_values.encode_embedding(embedding or None, plan.dimension)


def convert(record: Sequence[str], plan: Plan) -> dict[str, Any]:
    """A record by names, with values of their columns' types; empty fields are left out. Raises Bad."""
    columns = plan.columns
    skipped = {columns.id, columns.embedding}
    texts = {columns.document, columns.uri}
    found: dict[str, Any] = {}
    for name, text in zip(plan.header, record, strict=True):
        if text == "" or name in skipped:
            continue
        kind = "json" if name == columns.record else "str" if name in texts else columns.types.get(name, "str")
        try:
            found[name] = _value(kind, text)
        except ValueError:
            raise RowError(
                f"column {name} holds {text[:60]!r}, where others hold {kind}: its type may be given"
            ) from None
    return found


def _fits(kind: str, text: str) -> bool:
    try:
        _value(kind, text)
    except ValueError:
        return False
    return True


def _value(kind: str, text: str) -> Any:
    match kind:
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
