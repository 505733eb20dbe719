"""PostgreSQL with pgvector: tables with a column of vectors, or a query, by the package `psycopg`.

| PostgreSQL | here |
|---|---|
| the primary key of one column, else a column with a usual name of ids | id |
| the column of type vector or halfvec; of several that of `--embedding` | embedding |
| json, jsonb with a usual name of metadata, such as LangChain's `cmetadata` | metadata |
| other columns | document, URI and metadata, by the usual names |
| operators of the column's index | space; without an index l2 |

One transaction that only reads sees one moment. Rows come in the order of the primary key, without one in that of their
place in the table (`ctid`); those of a query in the order of its first column. A resumed import skips rows by OFFSET.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from afterglow.bulk.databases.database_source import DatabaseSource, Page, chosen_vector
from afterglow.bulk.databases.plain_values import plain
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.types import ImportRejected
from afterglow.errors import InvalidArgument, NotFound, Unavailable

_PAGE_ROWS = 2_000
_VECTOR_TYPES = ("vector", "halfvec")
_SPACES = {"l2": "l2", "cosine": "cosine", "ip": "ip"}
_TABLES = """
SELECT DISTINCT c.oid::regclass::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_type t ON t.oid = a.atttypid WHERE t.typname = ANY(%s) AND c.relkind IN ('r', 'p', 'm') AND NOT a.attisdropped
ORDER BY 1"""
_COLUMNS = """
SELECT a.attname, t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""
_KEY = """
SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = %s::regclass AND i.indisprimary"""
_OPERATORS = """
SELECT o.opcname FROM pg_index i JOIN pg_opclass o ON o.oid = ANY(i.indclass)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = %s::regclass AND a.attname = %s"""
_RECORDS = ("metadata", "cmetadata", "metadata_", "langchain_metadata")


class Postgres:
    """A connection whose one transaction only reads. Raises InvalidArgument, Unavailable."""

    def __init__(self, dsn: str) -> None:
        try:
            import psycopg
        except ModuleNotFoundError:
            raise InvalidArgument("psycopg is not installed: pip install 'afterglow-db[pgvector]'") from None
        self._error: type[Exception] = psycopg.Error
        try:
            self._connection: Any = psycopg.connect(dsn)
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        except psycopg.Error as error:
            raise Unavailable(f"no connection to PostgreSQL: {str(error).strip()}") from None
        info = self._connection.info
        self.address = f"postgresql://{info.host}:{info.port}/{info.dbname}"

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def select(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises ImportRejected."""
        try:
            return list(self._connection.execute(query, values or None).fetchall())
        except self._error as error:
            raise ImportRejected(f"{self.address}: {str(error).strip()}") from None

    def stream(self, query: str) -> Iterator[Page]:
        """The rows of a query, a page at a time. Raises ImportRejected."""
        try:
            with self._connection.cursor(name="afterglow") as cursor:
                cursor.execute(query)
                while rows := cursor.fetchmany(_PAGE_ROWS):
                    names = [column.name for column in cursor.description]
                    yield [dict(zip(names, map(plain, row), strict=True)) for row in rows]
        except self._error as error:
            raise ImportRejected(f"{self.address}: {str(error).strip()}") from None


def collections(postgres: Postgres) -> list[str]:
    """The tables that have a column of vectors."""
    return [name for (name,) in postgres.select(_TABLES, list(_VECTOR_TYPES))]


def open_table(postgres: Postgres, name: str, embedding: str | None) -> DatabaseSource:
    """A table. Raises ImportRejected, NotFound."""
    if not postgres.select("SELECT 1 WHERE to_regclass(%s) IS NOT NULL", name):
        raise NotFound(f"{postgres.address} has no table {name!r}")
    columns = postgres.select(_COLUMNS, name)
    chosen = chosen_vector(name, [column for column, kind in columns if kind in _VECTOR_TYPES], embedding)
    keys = [key for (key,) in postgres.select(_KEY, name)]
    left_out = {column: "further embeddings" for column, kind in columns if kind in _VECTOR_TYPES and column != chosen}
    left_out |= {column: "metadata cannot hold bytes" for column, kind in columns if kind == "bytea"}
    listed = ", ".join(_quote(column) for column, _ in columns if column not in left_out)
    order = ", ".join(map(_quote, keys)) or "ctid"
    options = Sidecar(
        columns={"embedding": chosen, **({"id": keys[0]} if len(keys) == 1 else {})},
        space=_space(postgres, name, chosen),
    )
    query = f"SELECT {listed} FROM {name} ORDER BY {order}"  # noqa: S608  both names are the catalogue's own
    return _source(postgres, name, query, options, left_out)


def open_query(postgres: Postgres, name: str, query: str) -> DatabaseSource:
    """The rows of a query, for the collection `name`. Raises ImportRejected."""
    text = query.strip().rstrip(";")
    return _source(postgres, name, f"SELECT * FROM ({text}) AS rows ORDER BY 1", Sidecar())  # noqa: S608  it is theirs


def _source(
    postgres: Postgres, name: str, query: str, options: Sidecar, left_out: dict[str, str] | None = None
) -> DatabaseSource:
    ((count,),) = postgres.select(f"SELECT count(*) FROM ({query}) AS rows")  # noqa: S608
    read = partial(_pages, postgres, query)
    return DatabaseSource(postgres.address, name, count, read, str(count), options, left_out or {})


def _pages(postgres: Postgres, query: str, start: int) -> Iterator[Page]:
    for page in postgres.stream(f"{query} OFFSET {start:d}"):
        yield [_with_metadata(dict(row)) for row in page]


def _with_metadata(row: dict[str, Any]) -> dict[str, Any]:
    """The row with an object of metadata by its usual name."""
    for name in _RECORDS:
        if isinstance(row.get(name), dict):
            row["metadata"] = row.pop(name)
            break
    return row


def _space(postgres: Postgres, table: str, column: str) -> str:
    """By the operators of an index, such as `vector_cosine_ops`."""
    for (operators,) in postgres.select(_OPERATORS, table, column):
        kind = operators.split("_")[1] if operators.endswith("_ops") and "_" in operators else ""
        if kind in _SPACES:
            return _SPACES[kind]
    return "l2"


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
