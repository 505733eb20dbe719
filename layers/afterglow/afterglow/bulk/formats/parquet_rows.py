"""The rows of a Parquet file: what selects its columns, and the records that are made of the arrays that come."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.bulk import row_values
from afterglow.bulk.row_chunks import AcceptedRows, RowChunk, drop_non_finite, row_id
from afterglow.bulk.row_values import RowError
from afterglow.bulk.types import ColumnMapping, FileRange, ImportRejected, Plan, Rejected

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
_FLOATS = {"FLOAT", "DOUBLE", "HUGEINT", "UHUGEINT", "UBIGINT"}
_AS_TEXT = {"VARCHAR", "DATE", "TIME", "UUID"}
_NESTED = ("STRUCT", "MAP", "JSON")

Array = NDArray[Any]


def validate_types(types: Mapping[str, str], columns: ColumnMapping, name: str) -> None:
    """Raises Refused where a column is of a kind that nothing can be made of."""
    for column in columns.others or ():
        if _selected(column, types[column]) is None:
            raise ImportRejected(
                f"{name}: column {column!r} is {types[column]}, of which no metadata can be made: name the "
                f"columns that are metadata"
            )


class Rows:
    """Reads rows by columns: `id`, `embedding`, `document`, `uri`, `record` or `m0`, `m1` for the others."""

    def __init__(self, plan: Plan, types: Mapping[str, str]) -> None:
        self._plan = plan
        columns = plan.columns
        self._others = list(columns.others or ())
        self._is_json: dict[str, bool] = {}
        parts = ["file_row_number AS row"]
        if columns.embedding is None:
            raise ImportRejected(f"{plan.name} has no column of embeddings")
        if columns.id is not None:
            parts.append(f"CAST({quote_name(columns.id)} AS VARCHAR) AS id")
        parts.append(f"{select_embedding(columns.embedding, types[columns.embedding])} AS embedding")
        for name, column in (("document", columns.document), ("uri", columns.uri)):
            if column is not None:
                parts.append(f"CAST({quote_name(column)} AS VARCHAR) AS {name}")
        if columns.record is not None:
            parts.append(f"{_record(columns.record, types[columns.record])} AS record")
        for number, column in enumerate(self._others):
            selected = _selected(column, types[column])
            assert selected is not None
            self._is_json[f"m{number}"] = selected.is_json
            parts.append(f"{selected.expression} AS m{number}")
        self._statement = (
            f"SELECT {', '.join(parts)} FROM read_parquet(?, file_row_number = true) "  # noqa: S608  quoted names
            "WHERE file_row_number >= ? AND file_row_number < ?"
        )

    def read(self, connection: "DuckDBPyConnection", path: str, start: int, end: int) -> dict[str, Array] | None:
        """The columns of some rows, None where they take too much memory. Raises Refused."""
        import duckdb

        try:
            found: dict[str, Array] = connection.execute(self._statement, [path, start, end]).fetchnumpy()
        except (duckdb.OutOfMemoryException, MemoryError):
            return None
        # With one thread they come in order.
        if not np.array_equal(found.pop("row"), np.arange(start, end)):
            raise ImportRejected(f"{self._plan.name} has other rows than its footer says, from row {start + 1} on")
        return found

    def to_chunk(self, found: dict[str, Array], start: int, file_range: FileRange) -> RowChunk:
        """The piece of some rows, the first of which has number `start` (from 0)."""
        count = len(found["embedding"])
        faults: dict[int, str] = {}
        ids = _listed(found.get("id"), count)
        for at, each in enumerate(ids):
            if each is None:
                ids[at] = row_id(self._plan.name, start + at)
            elif each == "":
                faults[at] = "the id is empty"
        metadatas = self._metadatas(found, count, faults)
        # Last, for it leaves out what has a fault by then.
        vectors = self._vectors(found["embedding"], faults)
        documents, uris = (_listed(found.get(name), count) for name in ("document", "uri"))
        good = [at for at in range(count) if at not in faults] if faults else range(count)
        taken = AcceptedRows(
            [ids[at] for at in good],
            vectors,
            [documents[at] for at in good],
            [uris[at] for at in good],
            [metadatas[at] for at in good],
            [start + at + 1 for at in good],
        )
        rejected = [Rejected(start + at + 1, reason) for at, reason in sorted(faults.items())]
        return drop_non_finite(taken, rejected, start + count, start + count - file_range.start)

    def _vectors(self, column: Array, faults: dict[int, str]) -> NDArray[np.float32]:
        """The embeddings of the rows without a fault (n, d); notes the faults of those that have none."""
        dimension = self._plan.dimension
        rows: list[Any] = _listed(column, len(column))
        for at, row in enumerate(rows):
            if isinstance(row, np.ma.MaskedArray) and row.mask.any():
                faults[at] = "the embedding holds null"
            elif isinstance(row, np.ndarray):
                if len(row) != dimension:
                    faults[at] = f"the embedding has {len(row)} dimensions, the collection has {dimension}"
            else:
                try:
                    rows[at] = np.frombuffer(row_values.encode_embedding(row, dimension), dtype="<f4")
                except RowError as bad:
                    faults[at] = str(bad)
        kept = [row for at, row in enumerate(rows) if at not in faults] if faults else rows
        if not kept:
            return np.empty((0, dimension), dtype=np.float32)
        return np.concatenate(kept).astype(np.float32, copy=False).reshape(-1, dimension)

    def _metadatas(self, found: dict[str, Array], count: int, faults: dict[int, str]) -> list[dict[str, Any] | None]:
        given: list[Any]
        if "record" in found:
            given = [_object(text) for text in _listed(found["record"], count)]
        else:
            columns = []
            for name, is_json in self._is_json.items():
                column = _listed(found[name], count)
                columns.append([None if text is None else orjson.loads(text) for text in column] if is_json else column)
            given = [dict(zip(self._others, row, strict=True)) for row in zip(*columns, strict=True)]
            given = given or [{} for _ in range(count)]
        taken: list[dict[str, Any] | None] = []
        for at, record in enumerate(given):
            try:
                if type(record) is not dict:
                    raise RowError(f"{self._plan.columns.record} is no object")
                taken.append(row_values.metadata(record))
            except RowError as bad:
                taken.append(None)
                faults.setdefault(at, str(bad))
        return taken


def _object(text: str | None) -> Any:
    """What the JSON of a metadata column says, None where it is none."""
    try:
        return {} if text is None else orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


@dataclass(frozen=True, slots=True)
class _Selected:
    expression: str
    is_json: bool = False


def _selected(column: str, kind: str) -> _Selected | None:
    """How a column is selected to be metadata, None where it cannot be."""
    name = quote_name(column)
    if kind in _INTEGERS or kind == "BOOLEAN":
        return _Selected(name)
    if kind in _FLOATS or kind.startswith("DECIMAL"):
        return _Selected(f"CAST({name} AS DOUBLE)")
    if kind in _AS_TEXT or kind.startswith(("TIMESTAMP", "ENUM")):
        return _Selected(f"CAST({name} AS VARCHAR)")
    if kind.startswith(_NESTED) or kind.endswith("]"):
        return _Selected(f"CAST(to_json({name}) AS VARCHAR)", is_json=True)
    return None


def select_embedding(column: str, kind: str) -> str:
    """How a column of embeddings is selected."""
    if kind.endswith("]"):
        # Other than float32, also float16 and integers: what is beyond float32 becomes null, and is told as such.
        return quote_name(column) if kind.startswith("FLOAT[") else f"TRY_CAST({quote_name(column)} AS FLOAT[])"
    if kind == "BLOB":
        return f"to_base64({quote_name(column)})"
    return f"CAST({quote_name(column)} AS VARCHAR)"


def _record(column: str, kind: str) -> str:
    """Metadata as JSON, which a column of text is taken to be."""
    return quote_name(column) if kind == "VARCHAR" else f"CAST(to_json({quote_name(column)}) AS VARCHAR)"


def quote_name(name: str) -> str:
    """A column's name in a statement."""
    return '"' + name.replace('"', '""') + '"'


def _listed(column: Array | None, count: int) -> list[Any]:
    """A column as Python's own values, None where it has none."""
    if column is None:
        return [None] * count
    if column.dtype == object:
        return _objects(column)
    # NaN and infinity are nothing that JSON, and so metadata, could say.
    return (np.ma.masked_invalid(column) if column.dtype.kind == "f" else column).tolist()  # type: ignore[no-any-return]


def _objects(column: Array) -> list[Any]:
    if not isinstance(column, np.ma.MaskedArray):
        return list(column)
    return [None if gone else each for each, gone in zip(column.data, np.ma.getmaskarray(column), strict=True)]


def size_in_bytes(found: dict[str, Array]) -> int:
    """Roughly what the columns take."""
    total = 0
    for column in found.values():
        if column.dtype != object:
            total += column.nbytes
        else:
            given = [each for each in _objects(column) if each is not None]
            total += sum(each.nbytes if isinstance(each, np.ndarray) else len(each) for each in given)
    return total
