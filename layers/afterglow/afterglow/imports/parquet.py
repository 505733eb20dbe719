"""Parquet, read by DuckDB, a window of rows at a time, in bounded memory and without a thread of its own.

Row groups that a range does not have are neither fetched nor decoded: a filter on the number of the row leaves them
out, and of an object only the bytes of its own are in the (sparse) copy. What files expand to is counted, since a page
of one value costs nothing however often it is repeated.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.imports import values
from afterglow.imports.model import Columns, Plan, Range, Refused, Rejected
from afterglow.imports.rows import Piece, Taken, finished, generated_id
from afterglow.imports.sources import Source, Span, parquet_footer
from afterglow.imports.values import Bad
from afterglow.settings import Settings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_WINDOW_BYTES = 64 * 1024 * 1024
_FIRST_WINDOW, _LEAST_WINDOW, _GROWTH = 128, 64, 16
_SAMPLE_ROWS = 200
_FOOTER_MEMORY = 256 * 1024 * 1024
_FREE_EXPANSION = 256 * 1024 * 1024
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
_FLOATS = {"FLOAT", "DOUBLE", "HUGEINT", "UHUGEINT", "UBIGINT"}
_AS_TEXT = {"VARCHAR", "DATE", "TIME", "UUID"}
_NESTED = ("STRUCT", "MAP", "JSON")
_MAGIC = (0, 4)

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Group:
    """A row group: its rows, where its bytes are, and how many they are when they are decoded."""

    start: int
    end: int
    spans: list[Span]
    expanded: int


@dataclass(frozen=True, slots=True)
class Footer:
    """What a file says of itself: its columns with their types, as DuckDB calls them, and its row groups."""

    types: dict[str, str]
    groups: list[Group]


def footer_of(source: Source) -> Footer:
    """Read the footer. Raises Refused."""
    spans = [_MAGIC, parquet_footer(source)]
    with _opened(source, spans, _FOOTER_MEMORY) as (connection, path):
        types = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [path]).fetchall()
        chunks = connection.execute(
            "SELECT row_group_id, row_group_num_rows, least(dictionary_page_offset, data_page_offset), "
            "total_compressed_size, total_uncompressed_size FROM parquet_metadata(?) ORDER BY row_group_id",
            [path],
        ).fetchall()
    groups: list[Group] = []
    last, row = None, 0
    for number, rows, offset, length, expanded in chunks:
        if rows < 0 or length < 0 or not 0 <= offset <= source.size - length:
            raise Refused(f"{source.name} is damaged: row group {number} would be at byte {offset}, {length} long")
        if number != last:
            groups.append(Group(row, row + rows, [], 0))
            last, row = number, row + rows
        group = groups[-1]
        groups[-1] = Group(group.start, group.end, [*group.spans, (offset, length)], group.expanded + max(expanded, 0))
    return Footer({name: kind for name, kind, *_ in types}, [each for each in groups if each.end > each.start])


def sample(source: Source, footer: Footer, expression: str, settings: Settings) -> list[Any]:
    """What an expression is in the first rows, of the first row group. Raises Refused."""
    if not footer.groups:
        return []
    rows = min(_SAMPLE_ROWS, footer.groups[0].end)
    statement = f"SELECT {expression} FROM read_parquet(?) LIMIT {rows}"  # noqa: S608  quoted names
    with _opened(source, _spans(source, footer.groups[:1]), settings.import_memory_bytes) as (connection, path):
        return [value for (value,) in connection.execute(statement, [path]).fetchall()]


def refuse_unfit(footer: Footer, columns: Columns, name: str) -> None:
    """Raises Refused where a column is of a kind that nothing can be made of."""
    for column in columns.others or ():
        if _selected(column, footer.types[column]) is None:
            raise Refused(
                f"{name}: column {column!r} is {footer.types[column]}, of which no metadata can be made: name the "
                f"columns that are metadata"
            )


def pieces(source: Source, plan: Plan, part: Range, position: int, settings: Settings) -> Iterator[Piece]:
    """The rows of a range from row `position` (from 0) on. Raises Refused."""
    footer = footer_of(source)
    groups = [each for each in footer.groups if each.start < part.end and each.end > position]
    reader = _Windows(plan, footer)
    most = max(_FREE_EXPANSION, settings.import_expansion * source.size)
    expanded_per_row = max((each.expanded / (each.end - each.start) for each in groups), default=0.0)
    per_row = max(expanded_per_row, 4 * plan.dimension)
    # What the footer says of a value that is repeated is nothing of what it expands to: begin small, and see.
    window = _FIRST_WINDOW
    expanded, start = 0, position
    if start >= part.end:
        yield Piece(None, [], part.end, part.end - part.start)
        return
    with _opened(source, _spans(source, groups), settings.import_memory_bytes) as (connection, path):
        while start < part.end:
            end = min(start + window, part.end)
            found = reader.read(connection, path, start, end)
            if found is None:
                if window <= _LEAST_WINDOW:
                    raise Refused(
                        f"{source.name} takes more memory than AFTERGLOW_IMPORT_MEMORY_BYTES from row {start + 1} on: "
                        f"smaller row groups take less"
                    )
                window = max(window // 4, _LEAST_WINDOW)
                continue
            brought = _bytes_of(found)
            expanded += brought
            if expanded > most:
                raise Refused(
                    f"{source.name} has {source.size} bytes and expands to more than {most}: "
                    f"AFTERGLOW_IMPORT_EXPANSION is {settings.import_expansion}"
                )
            for first in range(0, end - start, plan.batch_rows):
                last = min(first + plan.batch_rows, end - start)
                yield reader.piece({name: column[first:last] for name, column in found.items()}, start + first, part)
            per_row = max(per_row, brought / (end - start))
            start, window = end, max(min(int(_WINDOW_BYTES / per_row), window * _GROWTH), _LEAST_WINDOW)


class _Windows:
    """Reads rows by columns: `id`, `embedding`, `document`, `uri`, `record` or `m0`, `m1` for the others."""

    def __init__(self, plan: Plan, footer: Footer) -> None:
        self._plan = plan
        columns, types = plan.columns, footer.types
        self._others = list(columns.others or ())
        self._is_json: dict[str, bool] = {}
        parts = ["file_row_number AS row"]
        if columns.embedding is None:
            raise Refused(f"{plan.name} has no column of embeddings")
        if columns.id is not None:
            parts.append(f"CAST({quoted(columns.id)} AS VARCHAR) AS id")
        parts.append(f"{embedding(columns.embedding, types[columns.embedding])} AS embedding")
        for name, column in (("document", columns.document), ("uri", columns.uri)):
            if column is not None:
                parts.append(f"CAST({quoted(column)} AS VARCHAR) AS {name}")
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
            raise Refused(f"{self._plan.name} has other rows than its footer says, from row {start + 1} on")
        return found

    def piece(self, found: dict[str, Array], start: int, part: Range) -> Piece:
        """The piece of some rows, the first of which has number `start` (from 0)."""
        count = len(found["embedding"])
        faults: dict[int, str] = {}
        ids = _listed(found.get("id"), count)
        for at, each in enumerate(ids):
            if each is None:
                ids[at] = generated_id(self._plan.name, start + at)
            elif each == "":
                faults[at] = "the id is empty"
        metadatas = self._metadatas(found, count, faults)
        # Last, for it leaves out what has a fault by then.
        vectors = self._vectors(found["embedding"], faults)
        documents, uris = (_listed(found.get(name), count) for name in ("document", "uri"))
        good = [at for at in range(count) if at not in faults] if faults else range(count)
        taken = Taken(
            [ids[at] for at in good],
            vectors,
            [documents[at] for at in good],
            [uris[at] for at in good],
            [metadatas[at] for at in good],
            [start + at + 1 for at in good],
        )
        rejected = [Rejected(start + at + 1, reason) for at, reason in sorted(faults.items())]
        return finished(taken, rejected, start + count, start + count - part.start)

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
                    rows[at] = np.frombuffer(values.packed(row, dimension), dtype="<f4")
                except Bad as bad:
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
                    raise Bad(f"{self._plan.columns.record} is no object")
                taken.append(values.metadata(record))
            except Bad as bad:
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
    name = quoted(column)
    if kind in _INTEGERS or kind == "BOOLEAN":
        return _Selected(name)
    if kind in _FLOATS or kind.startswith("DECIMAL"):
        return _Selected(f"CAST({name} AS DOUBLE)")
    if kind in _AS_TEXT or kind.startswith(("TIMESTAMP", "ENUM")):
        return _Selected(f"CAST({name} AS VARCHAR)")
    if kind.startswith(_NESTED) or kind.endswith("]"):
        return _Selected(f"CAST(to_json({name}) AS VARCHAR)", is_json=True)
    return None


def embedding(column: str, kind: str) -> str:
    """How a column of embeddings is selected."""
    if kind.endswith("]"):
        # Other than float32, also float16 and integers: what is beyond float32 becomes null, and is told as such.
        return quoted(column) if kind.startswith("FLOAT[") else f"TRY_CAST({quoted(column)} AS FLOAT[])"
    if kind == "BLOB":
        return f"to_base64({quoted(column)})"
    return f"CAST({quoted(column)} AS VARCHAR)"


def _record(column: str, kind: str) -> str:
    """Metadata as JSON, which a column of text is taken to be."""
    return quoted(column) if kind == "VARCHAR" else f"CAST(to_json({quoted(column)}) AS VARCHAR)"


def quoted(name: str) -> str:
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


def _bytes_of(found: dict[str, Array]) -> int:
    """Roughly what the columns take."""
    total = 0
    for column in found.values():
        if column.dtype != object:
            total += column.nbytes
        else:
            given = [each for each in _objects(column) if each is not None]
            total += sum(each.nbytes if isinstance(each, np.ndarray) else len(each) for each in given)
    return total


def _spans(source: Source, groups: Sequence[Group]) -> list[Span]:
    return [_MAGIC, parquet_footer(source), *(span for group in groups for span in group.spans)]


@contextmanager
def _opened(source: Source, spans: Sequence[Span], memory: int) -> Iterator[tuple["DuckDBPyConnection", str]]:
    """DuckDB, confined, and a path to what is at `spans` of the file. Its errors are Refused."""
    try:
        import duckdb
    except ModuleNotFoundError:
        raise Refused("duckdb is not installed, which Parquet needs: pip install 'afterglow[imports]'") from None
    # A name of our own: DuckDB would take some characters of the file's for a pattern.
    with source.local(spans) as file, tempfile.TemporaryDirectory(prefix="afterglow-import-") as folder:
        path = Path(folder) / "file.parquet"
        path.symlink_to(file)
        connection = duckdb.connect(
            config={
                "threads": 1,
                "memory_limit": f"{memory}B",
                "temp_directory": "",
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "preserve_insertion_order": True,
            }
        )
        try:
            # Otherwise what takes longer draws one on standard output.
            connection.execute("SET enable_progress_bar = false")
            yield connection, str(path)
        except duckdb.OutOfMemoryException:
            raise Refused(
                f"{source.name} takes more memory than AFTERGLOW_IMPORT_MEMORY_BYTES: smaller row groups take less"
            ) from None
        except duckdb.Error as error:
            raise Refused(f"{source.name} cannot be read: {' '.join(str(error).split())[:300]}") from None
        finally:
            connection.close()
