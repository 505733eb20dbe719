"""Reads Excel's workbooks (.xlsx, .xlsm): a header in the first row of a sheet, then one record per row, as in CSV.

Read is the first sheet that has rows, or the one that is asked for by its name; the report names the others, and
counts the cells that were left out: errors such as #N/A, and cells below no header. The type of a column is decided
once, from a sample, by the types of its cells; text stays text, whatever it looks like, but lists and objects are JSON.
A file is one range, positions are the numbers of rows that Excel shows; continued imports read over the rows before.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from afterglow.bulk.formats import column_mapping, field_types
from afterglow.bulk.formats.column_mapping import SAMPLE_ROWS
from afterglow.bulk.formats.format import Inspection
from afterglow.bulk.formats.row_mapper import RowMapper
from afterglow.bulk.formats.xlsx_workbook import CellError, Row, Value, open_workbook, read_rows
from afterglow.bulk.row_chunks import RowChunk, RowChunkBuilder, row_id
from afterglow.bulk.row_values import CELLS, RowError
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sources import Source
from afterglow.bulk.types import ColumnMapping, Compression, FileRange, ImportRejected, Plan
from afterglow.settings import Settings

_CHUNK_CHARACTERS = 64 * 1024 * 1024
_MAX_SHEET_NAME, _SHOWN_SHEETS, _MAX_LABEL = 31, 20, 200
_MAX_CELL = 32_767
"""Characters of a cell: what is longer is cut by the programs that write it."""


def inspect(source: Source, compression: Compression, options: Sidecar, settings: Settings) -> Inspection:
    """Columns from the header; types and dimension from the first records."""
    del compression
    book = open_workbook(source, settings, options.sheet)
    rows = read_rows(book)
    header = _header(rows, source.name, options.sheet)
    sample = [cells for _, cells in islice(rows, SAMPLE_ROWS)]
    index = min(header) - 1
    if any(index in cells for cells in sample):
        header = {index: "", **header}
    names = tuple(header.values())
    records = [_named(cells, header, {}) for cells in sample]
    types = {name: _type_of(record.get(name) for record in records) for name in names} | options.types
    columns = column_mapping.map_columns(
        names, options, name=source.name, every=True, is_number=lambda column: types[column] in ("int", "float")
    )
    shown = source.name
    if book.others and options.sheet is None:
        shown += f", in its first sheet with rows ({_shown(book.others)} may be chosen by --sheet)"
    if columns.embedding_columns:
        dimension = len(columns.embedding_columns)
        types |= dict.fromkeys(columns.embedding_columns, "float")
    else:
        lists = [name for name, column_type in types.items() if column_type == "json"]
        embedding = column_mapping.require_embedding(columns, shown, names, lists)
        values = [] if embedding is None else [record.get(embedding) for record in records]
        dimension = (
            0
            if embedding is None
            else column_mapping.infer_dimension(values, options, source.name, is_empty=not sample)
        )
    columns = replace(columns, types=types, ignored={**columns.ignored, **_other_sheets(book.others, options.sheet)})
    return Inspection(columns, dimension, (FileRange(0, -1, 1),), header=names, sheet=options.sheet or "")


def read_chunks(
    source: Source, plan: Plan, file_range: FileRange, *, position: int, lines_read: int, settings: Settings
) -> Iterator[RowChunk]:
    """The rows after row `position`."""
    del file_range  # the whole file
    rows = read_rows(open_workbook(source, settings, plan.sheet or None))
    header = _header(rows, source.name, plan.sheet or None)
    if plan.header[0] == "":
        header = {min(header) - 1: "", **header}
    mapper, builder, size = RowMapper(plan.columns), RowChunkBuilder(plan.dimension), 0
    begin = position
    for number, cells in rows:
        if number <= begin:
            continue
        position = number
        try:
            record = _convert(_named(cells, header, builder.left_out), plan.columns, builder.left_out)
            name = record.get(plan.columns.id) if plan.columns.id is not None else None
            identifier = row_id(plan.name, number) if name is None else name
            vector = mapper.embedding(record, plan.dimension)
            builder.add(number, identifier, vector, mapper.row(record, builder))
        except RowError as bad:
            builder.reject(number, str(bad))
        size += sum(len(value) for value in cells.values() if isinstance(value, str))
        if len(builder.ids) + len(builder.rejected) >= plan.batch_rows or size >= _CHUNK_CHARACTERS:
            yield builder.build(position, position)
            builder, size, begin = RowChunkBuilder(plan.dimension), 0, position
    if position > begin or not lines_read:
        yield builder.build(position, position)


def _header(rows: Iterator[Row], name: str, sheet: str | None) -> dict[int, str]:
    """The names of the columns, by column: the first row with a value. Raises ImportRejected."""
    _, cells = next(rows, (0, {}))
    header = {column: text for column, value in sorted(cells.items()) if (text := _text(value).strip())}
    if not header:
        raise ImportRejected(f"{name} has no sheet with rows" if sheet is None else f"{name}: {sheet!r} has no rows")
    column_mapping.check_header(list(header.values()), name)
    return header


def _other_sheets(names: Sequence[str], chosen: str | None) -> dict[str, str]:
    """The sheets that are not read, with the reason, for the report."""
    shown = [f"sheet {name[:_MAX_SHEET_NAME]}" for name in names[:_SHOWN_SHEETS]]
    if len(names) > _SHOWN_SHEETS:
        shown.append(f"{len(names) - _SHOWN_SHEETS} further sheets")
    return dict.fromkeys(
        shown, "only the first sheet with rows is read" if chosen is None else "another sheet was chosen"
    )


def _shown(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:_MAX_SHEET_NAME]) for name in names[:_SHOWN_SHEETS])


def _named(cells: Mapping[int, Value], header: Mapping[int, str], left_out: dict[str, int]) -> dict[str, Value]:
    """The cells by the names of their columns; counts those below no header."""
    for column in cells.keys() - header.keys():
        _count(left_out, f"column {_letters(column)}, which has no header")
    return {header[column]: value for column, value in cells.items() if column in header}


def _convert(record: Mapping[str, Value], columns: ColumnMapping, left_out: dict[str, int]) -> dict[str, Any]:
    """The values converted to the columns' types; errors are left out and counted. Raises RowError."""
    text_columns = {columns.id, columns.document, columns.uri, columns.embedding}
    values: dict[str, Any] = {}
    for name, value in record.items():
        if name in columns.ignored:
            continue
        if isinstance(value, CellError):
            _count(left_out, f"{value.code} in column {name}")
        elif name == columns.embedding and isinstance(value, str) and len(value) == _MAX_CELL:
            raise RowError(f"the embedding was cut as it was written: a cell holds {_MAX_CELL} characters")
        elif name in text_columns:
            values[name] = _text(value)
        elif name == columns.record:
            values[name] = field_types.object_or_text(value) if isinstance(value, str) else value
        else:
            column_type = columns.types.get(name, "str")
            try:
                values[name] = _typed(column_type, value)
            except ValueError:
                raise RowError(
                    f"column {name} holds {_text(value)[:60]!r}, where others hold {column_type}: "
                    f"a sidecar can set the type"
                ) from None
    return values


def _type_of(values: Iterable[Value | None]) -> str:
    """The type of a column's cells: `int`, `float`, `bool`, `json` (text of lists and objects) or `str`."""
    found = [value for value in values if value is not None and not isinstance(value, CellError)]
    types = set(map(type, found))
    if types == {bool}:
        return "bool"
    # pandas writes infinity as text.
    numbers = {
        type(value) for value in found if not (isinstance(value, str) and field_types.is_no_finite_number(value))
    }
    if numbers and numbers <= {int, float}:
        return "float" if float in numbers else "int"
    is_json = bool(found) and all(isinstance(value, str) and field_types.fits("json", value) for value in found)
    return "json" if is_json else "str"


def _typed(column_type: str, value: Value) -> Any:
    """The value of a cell in a column of this type. Raises ValueError."""
    if column_type == "str" or isinstance(value, str):
        return field_types.convert(column_type, _text(value))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if column_type == "float" and is_number:
        return float(value)  # type: ignore[arg-type]
    # Excel knows one type of numbers: a fraction may follow whole ones.
    if (column_type == "int" and is_number) or (column_type == "bool" and isinstance(value, bool)):
        return value
    raise ValueError(value)


def _text(value: Value) -> str:
    """The text that Excel shows for a value without a style."""
    if isinstance(value, bool):
        return str(value).upper()
    return value.code if isinstance(value, CellError) else str(value)


def _count(left_out: dict[str, int], what: str) -> None:
    key = CELLS + what[:_MAX_LABEL]
    left_out[key] = left_out.get(key, 0) + 1


def _letters(column: int) -> str:
    """The letters of a column, from 0, as Excel shows them: A, B, …, Z, AA."""
    letters = ""
    while column >= 0:
        letters = chr(ord("A") + column % 26) + letters
        column = column // 26 - 1
    return letters
