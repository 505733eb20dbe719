"""LanceDB: the tables of a directory, as of their newest version, by the package `lancedb`.

| LanceDB | here |
|---|---|
| a column with a usual name of ids; without one | id; the table's name and the number of the row |
| the column of vectors (lists of a fixed size); of several that of `--embedding` | embedding |
| other columns | document, URI and metadata, by the usual names |

A table does not know its distance function unless it has an index: l2, as LanceDB's own default.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from afterglow.bulk.databases.database_source import DatabaseSource, Page, chosen_vector
from afterglow.bulk.databases.plain_values import plain
from afterglow.bulk.sidecar import Sidecar
from afterglow.errors import InvalidArgument, NotFound

_PAGE_ROWS = 2_048
_LISTED = 10_000


def connect(path: Path) -> Any:
    """The database in a directory. Raises NotFound, InvalidArgument."""
    try:
        import lancedb
    except ModuleNotFoundError:
        raise InvalidArgument("lancedb is not installed: pip install 'afterglow-db[lancedb]'") from None
    if not path.is_dir():
        raise NotFound(f"{path} is not a directory")
    return lancedb.connect(str(path))


def collections(database: Any) -> list[str]:
    """The names of all tables."""
    return sorted(database.table_names(limit=_LISTED))


def open_collection(database: Any, address: str, name: str, embedding: str | None) -> DatabaseSource:
    """A table; `embedding` names one of several columns of vectors. Raises ImportRejected, NotFound."""
    try:
        table = database.open_table(name)
    except (FileNotFoundError, ValueError):
        raise NotFound(f"{address} has no table {name!r}") from None
    version = table.version
    table.checkout(version)  # later writes are not read
    vectors = [field.name for field in table.schema if _is_vector(field.type)]
    chosen = chosen_vector(name, vectors, embedding)
    left_out = dict.fromkeys((column for column in vectors if column != chosen), "further embeddings")
    left_out |= {field.name: "metadata cannot hold bytes" for field in table.schema if "binary" in str(field.type)}
    columns = [column for column in table.schema.names if column not in left_out]
    options = Sidecar(columns={"embedding": chosen}, space="l2")
    read = partial(_pages, table, columns)
    return DatabaseSource(address, name, table.count_rows(), read, str(version), options, left_out)


def _is_vector(column_type: Any) -> bool:
    return str(column_type).startswith("fixed_size_list<") and any(
        kind in str(column_type) for kind in ("float", "double", "int8")
    )


def _pages(table: Any, columns: list[str], start: int) -> Iterator[Page]:
    while True:
        rows = table.search().select(columns).offset(start).limit(_PAGE_ROWS).to_arrow().to_pylist()
        if not rows:
            return
        yield [{name: plain(value) for name, value in row.items()} for row in rows]
        start += len(rows)
