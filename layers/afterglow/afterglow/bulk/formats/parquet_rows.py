"""Rows of a Parquet file: the statement that selects its columns, and records from the resulting arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.bulk import row_values
from afterglow.bulk.formats.jsonl import loads_with_nan
from afterglow.bulk.row_chunks import AcceptedRows, RowChunk, drop_non_finite, row_id
from afterglow.bulk.row_values import RowError
from afterglow.bulk.types import ColumnMapping, FileRange, ImportRejected, Plan, Rejected

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
_FLOATS = {"FLOAT", "DOUBLE", "HUGEINT", "UHUGEINT", "UBIGINT"}
_AS_TEXT = {"VARCHAR", "DATE", "TIME", "UUID"}
_MAX_ARRAY = 100_000
"""Items of DuckDB's arrays."""
_NESTED = ("STRUCT", "MAP", "JSON")

Array = NDArray[Any]


def is_number(kind: str) -> bool:
    """Whether a column of this type holds numbers."""
    return kind in _INTEGERS or kind in _FLOATS or kind.startswith("DECIMAL")


def without_unsupported(types: Mapping[str, str], columns: ColumnMapping) -> ColumnMapping:
    """The mapping without columns of a type that metadata cannot hold, which are ignored."""
    reasons = {
        column: f"metadata cannot hold {types[column]}"
        for column in columns.others or ()
        if _select(column, types[column]) is None
    }
    others = columns.others and tuple(column for column in columns.others if column not in reasons)
    return replace(columns, others=others, ignored={**columns.ignored, **reasons})


class Rows:
    """Reads rows as columns `id`, `embedding`, `document`, `uri`, and `record` or `m0`, `m1`, … for the others."""

    def __init__(self, plan: Plan, types: Mapping[str, str]) -> None:
        self._plan = plan
        columns = plan.columns
        self._others = [column for column in columns.others or () if column != columns.record]
        self._is_json: dict[str, bool] = {}
        expressions = ["file_row_number AS row"]
        if columns.id is not None:
            expressions.append(f"CAST({quote_name(columns.id)} AS VARCHAR) AS id")
        if columns.embedding_columns:
            components = ", ".join(f"TRY_CAST({quote_name(name)} AS FLOAT)" for name in columns.embedding_columns)
            expressions.append(f"list_value({components}) AS embedding")
        elif columns.embedding is not None:
            expressions += _embeddings(columns.embedding, types[columns.embedding], plan.dimension)
        else:
            expressions.append("NULL AS embedding")
        for name, column in (("document", columns.document), ("uri", columns.uri)):
            if column is not None:
                expressions.append(f"CAST({quote_name(column)} AS VARCHAR) AS {name}")
        if columns.record is not None:
            expressions.append(f"{_record(columns.record, types[columns.record])} AS record")
        for number, column in enumerate(self._others):
            selected = _select(column, types[column])
            assert selected is not None
            self._is_json[f"m{number}"] = selected.is_json
            expressions.append(f"{selected.expression} AS m{number}")
        self._statement = (
            f"SELECT {', '.join(expressions)} FROM read_parquet(?, file_row_number = true) "  # noqa: S608  quoted names
            "WHERE file_row_number >= ? AND file_row_number < ?"
        )

    def read(self, connection: "DuckDBPyConnection", path: str, start: int, end: int) -> dict[str, Array] | None:
        """The columns of some rows, None if they take too much memory. Raises ImportRejected."""
        import duckdb

        try:
            columns: dict[str, Array] = connection.execute(self._statement, [path, start, end]).fetchnumpy()
        except (duckdb.OutOfMemoryException, MemoryError):
            return None
        # One thread keeps them in order.
        if not np.array_equal(columns.pop("row"), np.arange(start, end)):
            raise ImportRejected(f"{self._plan.name} does not have the rows of its footer from row {start + 1} on")
        return columns

    def to_chunk(self, columns: dict[str, Array], start: int, file_range: FileRange) -> RowChunk:
        """The chunk of some rows, the first of which has number `start` (from 0)."""
        count = len(columns["embedding"])
        errors: dict[int, str] = {}
        ids = _to_list(columns.get("id"), count)
        for row, identifier in enumerate(ids):
            if identifier is None:
                ids[row] = row_id(self._plan.name, start + row)
            elif identifier == "":
                errors[row] = "the id is empty"
        left_out: dict[str, int] = {}
        metadatas = self._metadatas(columns, count, errors, left_out)
        # Last, because it leaves out the rows with an error so far.
        documents, uris = (_to_list(columns.get(name), count) for name in ("document", "uri"))
        if not self._plan.dimension:
            errors |= {row: row_values.NO_TEXT for row in range(count) if row not in errors and documents[row] is None}
        vectors = self._vectors(columns["embedding"], columns.get("uneven"), errors)
        accepted = [row for row in range(count) if row not in errors] if errors else range(count)
        rows = AcceptedRows(
            [ids[row] for row in accepted],
            vectors,
            [documents[row] for row in accepted],
            [uris[row] for row in accepted],
            [metadatas[row] for row in accepted],
            [start + row + 1 for row in accepted],
        )
        rejected = [Rejected(start + row + 1, reason) for row, reason in sorted(errors.items())]
        chunk = drop_non_finite(rows, rejected, start + count, start + count - file_range.start)
        chunk.left_out = left_out
        return chunk

    def _vectors(self, column: Array, uneven: Array | None, errors: dict[int, str]) -> NDArray[np.float32]:
        """The embeddings of the rows without an error (n, d); adds the errors of embeddings."""
        dimension = self._plan.dimension
        if not dimension:
            return np.empty((len(column) - len(errors), 0), dtype=np.float32)
        embeddings: list[Any] = _to_list(column, len(column))
        if uneven is not None and np.ma.is_masked(column):
            others = _to_list(uneven, len(uneven))
            embeddings = [other if item is None else item for item, other in zip(embeddings, others, strict=True)]
        for row, embedding in enumerate(embeddings):
            if isinstance(embedding, np.ma.MaskedArray) and embedding.mask.any():
                errors[row] = "the embedding holds null"
            elif isinstance(embedding, np.ndarray):
                if len(embedding) != dimension:
                    errors[row] = f"the embedding has {len(embedding)} dimensions, the collection has {dimension}"
            else:
                try:
                    embeddings[row] = np.frombuffer(row_values.encode_embedding(embedding, dimension), dtype="<f4")
                except RowError as error:
                    errors[row] = str(error)
        valid = [embedding for row, embedding in enumerate(embeddings) if row not in errors] if errors else embeddings
        if not valid:
            return np.empty((0, dimension), dtype=np.float32)
        return np.concatenate(valid).astype(np.float32, copy=False).reshape(-1, dimension)

    def _metadatas(
        self, columns: dict[str, Array], count: int, errors: dict[int, str], left_out: dict[str, int]
    ) -> list[dict[str, Any] | None]:
        mapping = self._plan.columns
        values = []
        for name, is_json in self._is_json.items():
            column = _to_list(columns[name], count)
            values.append([None if text is None else _parse_json(text) for text in column] if is_json else column)
        records: list[dict[str, Any]] = [dict(zip(self._others, row, strict=True)) for row in zip(*values, strict=True)]
        records = records or [{} for _ in range(count)]
        if mapping.record is not None:
            self._merge_objects(records, _to_list(columns["record"], count), errors)
        metadatas: list[dict[str, Any] | None] = []
        for row, record in enumerate(records):
            try:
                metadatas.append(row_values.metadata(record, left_out, flatten=mapping.flatten))
            except RowError as error:
                metadatas.append(None)
                errors.setdefault(row, str(error))
        return metadatas

    def _merge_objects(self, records: list[dict[str, Any]], texts: list[str | None], errors: dict[int, str]) -> None:
        """Add the objects of the column of metadata to the records; a text that is none is a value of its own."""
        mapping = self._plan.columns
        assert mapping.record is not None
        for row, text in enumerate(texts):
            if text is None:
                continue
            value = _parse_object(text)
            if value is not None:
                records[row] |= value
            elif mapping.is_record_required:
                errors.setdefault(row, f"{mapping.record} is not an object")
            else:
                records[row][mapping.record] = text


def _parse_object(text: str) -> dict[str, Any] | None:
    """The object in a JSON text, None if it has none."""
    try:
        value = _parse_json(text) if text.startswith("{") else None
    except ValueError:
        return None
    return value if type(value) is dict else None


def _parse_json(text: str) -> Any:
    """The value of a JSON text, which may have NaN and infinity, as DuckDB and Python write them. Raises ValueError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return loads_with_nan(text.encode())


@dataclass(frozen=True, slots=True)
class _Selection:
    expression: str
    is_json: bool = False


def _select(column: str, kind: str) -> _Selection | None:
    """The expression that selects a column as metadata, None if its type is unsupported."""
    name = quote_name(column)
    if kind in _INTEGERS or kind == "BOOLEAN":
        return _Selection(name)
    if kind in _FLOATS or kind.startswith("DECIMAL"):
        return _Selection(f"CAST({name} AS DOUBLE)")
    if kind in _AS_TEXT or kind.startswith(("TIMESTAMP", "ENUM")):
        return _Selection(f"CAST({name} AS VARCHAR)")
    if kind.startswith(_NESTED) or kind.endswith("]"):
        return _Selection(f"CAST(to_json({name}) AS VARCHAR)", is_json=True)
    return None


def _embeddings(column: str, kind: str, dimension: int) -> list[str]:
    """The expressions that select a column of embeddings.

    A list becomes an array, which is read in two thirds of the time; `uneven` is a list of another length.
    """
    selected = select_embedding(column, kind)
    if not kind.endswith("[]") or not 0 < dimension <= _MAX_ARRAY:
        return [f"{selected} AS embedding"]
    return [
        f"TRY_CAST({selected} AS FLOAT[{dimension}]) AS embedding",
        f"CASE WHEN len({selected}) IS DISTINCT FROM {dimension} THEN {selected} END AS uneven",
    ]


def select_embedding(column: str, kind: str) -> str:
    """The expression that selects a column of embeddings."""
    if kind.endswith("]"):
        # Also float16, float64 and integers: a number beyond float32 becomes null, and its row is rejected.
        return quote_name(column) if kind.startswith("FLOAT[") else f"TRY_CAST({quote_name(column)} AS FLOAT[])"
    if kind == "BLOB":
        return f"to_base64({quote_name(column)})"
    return f"CAST({quote_name(column)} AS VARCHAR)"


def _record(column: str, kind: str) -> str:
    """The expression that selects metadata as JSON; a text column is assumed to hold JSON."""
    return quote_name(column) if kind == "VARCHAR" else f"CAST(to_json({quote_name(column)}) AS VARCHAR)"


def quote_name(name: str) -> str:
    """A column's name, quoted for a statement."""
    return '"' + name.replace('"', '""') + '"'


def _to_list(column: Array | None, count: int) -> list[Any]:
    """A column as Python values, None for missing ones."""
    if column is None:
        return [None] * count
    if column.dtype == object:
        return _objects(column)
    return (np.ma.masked_where(np.isnan(column), column) if column.dtype.kind == "f" else column).tolist()  # type: ignore[no-any-return]


def _objects(column: Array) -> list[Any]:
    if not isinstance(column, np.ma.MaskedArray):
        return list(column)
    return [None if is_null else value for value, is_null in zip(column.data, np.ma.getmaskarray(column), strict=True)]


def size_in_bytes(columns: dict[str, Array]) -> int:
    """The approximate memory of the columns."""
    total = 0
    for column in columns.values():
        if column.dtype != object:
            total += column.nbytes
        else:
            values = [value for value in _objects(column) if value is not None]
            total += sum(value.nbytes if isinstance(value, np.ndarray) else len(value) for value in values)
    return total
