"""Opens the tables of a Chroma directory for reading: `source.*` of a connection whose own tables are scratch.

1. No log beside `chroma.sqlite3`: the file is attached as immutable, so SQLite writes nothing beside it. With a log
   (`-wal`, `-journal`), a copy of both is attached, to which SQLite applies the log.
2. If SQLite finds no fault in the tables that are read, this is all. Otherwise every leaf page is read by
   `sqlite_pages`, the rows go into a new file in the scratch folder, and that is attached instead.
"""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from afterglow.bulk.chroma_directory import deleted_operations
from afterglow.bulk.chroma_directory.row_shapes import COLUMNS, TEXTS, Row, identify
from afterglow.bulk.chroma_directory.sqlite_pages import PageDamage, SqlitePages, open_pages
from afterglow.errors import Corrupt, StorageFull
from afterglow.temporary import Purpose, TemporaryFolder

TABLE = "chroma.sqlite3"
_LOGS = ("-wal", "-journal")
_BATCH_ROWS = 1000
_MAX_SEQ = 1 << 63
_REQUIRED = ("collections", "segments", "embeddings", "embedding_metadata", "embeddings_queue", "max_seq_id")
_UNREADABLE = "SQLite cannot read its schema"
_MAX_PAGES_NAMED = 10
_INDEXES = {
    "embeddings": "(segment_id, embedding_id)",
    "embedding_metadata": "(id)",
    "embedding_metadata_array": "(id)",
    "collection_metadata": "(collection_id)",
}
_PRIMARY_KEYS = {"embeddings": "id", "embeddings_queue": "seq_id", "embedding_fulltext_search_content": "id"}
_TYPES = {"float_value": "REAL", "id": "", "seq_id": ""}


@dataclass(slots=True)
class Tables:
    """Open tables. `is_recovered`: rows may be missing. `columns` has those of each existing table."""

    connection: sqlite3.Connection
    columns: dict[str, list[str]] = field(default_factory=dict)
    is_recovered: bool = False
    file: Path | None = None
    """The file as it was found, or its copy; None if there is none."""
    damage: list[str] = field(default_factory=list)

    def select(
        self, table: str, names: tuple[str, ...], rest: str = "", values: tuple[object, ...] = ()
    ) -> sqlite3.Cursor:
        """Rows of a source table, NULL for columns that this version does not have; none if there is no table."""
        present = self.columns.get(table)
        if present is None:
            return self.connection.execute(f"SELECT {', '.join(['NULL'] * len(names))} WHERE 0")
        columns = ", ".join(name if name in present or name == "rowid" else "NULL" for name in names)
        return self.connection.execute(f"SELECT {columns} FROM source.{table} {rest}", values)  # noqa: S608

    @property
    def has_records(self) -> bool:
        """Whether there is a table of records."""
        return "embeddings" in self.columns

    def max_seq(self, segments: Sequence[str]) -> int:
        """The last operation that the segments contain, -1 if unknown."""
        marks = ", ".join("?" * len(segments))
        rows = self.select("max_seq_id", ("seq_id",), f"WHERE segment_id IN ({marks})", tuple(segments))
        return max((decode_seq(seq) for (seq,) in rows), default=-1)

    def count(self, query: str, *values: str | int) -> int:
        """The number that a query returns."""
        return int(self.connection.execute(query, values).fetchone()[0])


def decode_seq(value: object) -> int:
    """The number of an operation: an integer, or big-endian bytes until 0.6; -1 if it is neither."""
    if isinstance(value, bytes):
        number = int.from_bytes(value, "big")
        return number if number < _MAX_SEQ else -1
    return value if isinstance(value, int) else -1


@contextmanager
def open_tables(directory: Path) -> Iterator[Tables]:
    """The tables of a directory. Raises OSError, StorageFull if the scratch folder is full."""
    with TemporaryFolder(Purpose.RESCUE) as folder, _storage_errors():
        scratch = folder.path
        connection = sqlite3.connect(
            scratch / "inventory.sqlite3", uri=True, isolation_level=None, check_same_thread=False
        )
        with closing(connection):
            connection.text_factory = _text
            connection.create_function("decode_seq", 1, decode_seq, deterministic=True)
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            tables = Tables(connection)
            _attach(tables, directory / TABLE, scratch)
            yield tables


@contextmanager
def _storage_errors() -> Iterator[None]:
    """Raises StorageFull if the scratch folder is full, and Corrupt for other errors of SQLite."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if "full" in str(error):
            raise StorageFull(f"no space left in the folder for temporary files (TMPDIR): {error}") from error
        raise Corrupt(f"the tables cannot be read: {error}") from error


def _text(content: bytes) -> str:
    return content.decode(errors="replace")


def _attach(tables: Tables, path: Path, scratch: Path) -> None:
    if not path.is_file():
        tables.damage.append(f"{TABLE} is missing")
        _attach_recovered(tables, None, scratch)
        return
    logs = [log for suffix in _LOGS if (log := path.with_name(path.name + suffix)).is_file() and log.stat().st_size]
    readable = path
    if logs:
        readable = scratch / TABLE
        for file in (path, *logs):
            shutil.copyfile(file, scratch / file.name)
    tables.file = readable
    try:
        _attach_source(tables, readable, "mode=ro&immutable=1" if readable is path else "mode=rw")
        fault = _first_fault(tables)
    except sqlite3.DatabaseError as error:
        fault = _UNREADABLE if "unable to open" in str(error) else str(error)
    except UnicodeDecodeError:
        fault = _UNREADABLE  # the message of SQLite quotes damaged bytes
    if fault is None:
        return
    tables.damage.append(f"{TABLE}: {fault}")
    tables.columns.clear()
    _detach(tables)
    _attach_recovered(tables, readable, scratch)


def _attach_source(tables: Tables, path: Path, options: str) -> None:
    tables.connection.execute("ATTACH ? AS source", [f"{path.absolute().as_uri()}?{options}"])
    names = [
        name for (name,) in tables.connection.execute("SELECT name FROM source.sqlite_master WHERE type = 'table'")
    ]
    for name in COLUMNS:
        if name in names:
            tables.columns[name] = [row[1] for row in tables.connection.execute(f"PRAGMA source.table_info({name})")]


def _detach(tables: Tables) -> None:
    if any(row[1] == "source" for row in tables.connection.execute("PRAGMA database_list")):
        tables.connection.execute("DETACH source")


def _first_fault(tables: Tables) -> str | None:
    """What SQLite finds wrong with the tables that are read, None if nothing. Raises sqlite3.DatabaseError."""
    missing = [name for name in _REQUIRED if name not in tables.columns]
    if missing:
        return f"it has no table {missing[0]}"
    for name in tables.columns:
        (found,) = tables.connection.execute(f"PRAGMA source.integrity_check({name})").fetchmany(1)
        if found[0] != "ok":
            return " ".join(str(found[0]).split())
    for name, texts in TEXTS.items():
        for column in texts:
            if column in tables.columns.get(name, ()):
                wrong = tables.count(f"SELECT count(*) FROM source.{name} WHERE typeof({column}) != 'text'")  # noqa: S608
                if wrong:
                    return f"{wrong} rows of {name} have no text as {column}"
    return None


def _attach_recovered(tables: Tables, damaged: Path | None, scratch: Path) -> None:
    """Attach a new file with the rows that can be read in the damaged one."""
    tables.is_recovered = True
    tables.connection.execute("ATTACH ? AS source", [(scratch / "recovered.sqlite3").as_uri()])
    tables.connection.execute("PRAGMA source.journal_mode = OFF")
    tables.connection.execute("PRAGMA source.synchronous = OFF")
    for name, columns in COLUMNS.items():
        key = _PRIMARY_KEYS.get(name)
        types = ", ".join(
            f"{column} INTEGER PRIMARY KEY" if column == key else f"{column} {_TYPES.get(column, '')}"
            for column in columns
        )
        tables.connection.execute(f"CREATE TABLE source.{name} ({types})")
        tables.columns[name] = list(columns)
    if damaged is not None:
        with damaged.open("rb") as file:
            _recover(tables, open_pages(damaged, file))
    for name, columns_ in _INDEXES.items():
        tables.connection.execute(f"CREATE INDEX source.{name}_index ON {name} {columns_}")


def _recover(tables: Tables, pages: SqlitePages) -> None:
    damage = PageDamage()
    roots = _array_pages(pages)
    counts: Counter[str] = Counter()
    rows = _identified(pages, damage, roots)
    while batch := list(islice(rows, _BATCH_ROWS)):
        tables.connection.execute("BEGIN")
        for table, row in batch:
            names = ", ".join(row)
            marks = ", ".join("?" * len(row))
            statement = f"INSERT OR IGNORE INTO source.{table} ({names}) VALUES ({marks})"  # noqa: S608
            tables.connection.execute(statement, tuple(row.values()))
            counts[table] += 1
        tables.connection.execute("COMMIT")
    _recover_operations(tables, pages)
    named = ", ".join(map(str, damage.damaged_pages[:_MAX_PAGES_NAMED]))
    more = " …" if len(damage.damaged_pages) > _MAX_PAGES_NAMED else ""
    if damage.damaged_pages:
        tables.damage.append(
            f"{TABLE}: {len(damage.damaged_pages)} of {damage.pages} pages are damaged ({named}{more}), with "
            f"{damage.damaged_cells} unreadable rows"
        )
    tables.damage.append(f"{TABLE}: {sum(counts.values())} rows were recovered page by page")


def _recover_operations(tables: Tables, pages: SqlitePages) -> None:
    """Add the operations on damaged pages whose number is known."""
    found = deleted_operations.find(pages, is_damaged=True)
    tables.connection.execute("BEGIN")
    tables.connection.executemany(
        "INSERT OR IGNORE INTO source.embeddings_queue VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (item.seq, item.kind, item.collection, item.id, item.vector, item.encoding, item.metadata)
            for item in found
            if item.is_damaged and item.seq is not None
        ),
    )
    tables.connection.execute("COMMIT")


def _identified(pages: SqlitePages, damage: PageDamage, arrays: set[int]) -> Iterator[tuple[str, Row]]:
    for page, rowid, values in pages.rows(damage):
        found = identify(rowid, values)
        if found is None:
            continue
        table, row = found
        if table == "embedding_metadata" and page in arrays:
            table = "embedding_metadata_array"
        yield table, row


def _array_pages(pages: SqlitePages) -> set[int]:
    """The pages of `embedding_metadata_array`, whose rows look like those of `embedding_metadata`."""
    for values in pages.schema():
        if len(values) == 5 and values[:2] == ("table", "embedding_metadata_array") and type(values[3]) is int:
            return pages.tree(values[3])
    return set()
