"""The Table port over one SQLite file in WAL mode, shared by any number of threads and processes.

A put returns after SQLite has synced its write-ahead log (`synchronous=FULL`), so it survives a power failure. Each
thread has its own connection; SQLite's file locks serialize writers. *Crash at any point: SQLite recovers the last
committed state when the file is next opened.*

Every item has a checksum (`storage.local.item_checksum`), compared at each read. A table of format 2, without them, is
converted when it is opened: one statement adds the empty column. *Crash before: the table has format 2, with or without
the column. After: it has format 3.*
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from afterglow.errors import AfterglowError, Corrupt, StorageFull, Unavailable, UnsupportedFormat
from afterglow.storage.local import item_checksum, item_statements
from afterglow.storage.local.read_only import ReadOnlyFile
from afterglow.storage.local.wal import use_wal
from afterglow.storage.ports import Check, Delete, Item, Put, Write

FORMAT = 3
_WITHOUT_CHECKSUMS = 2
_BUSY_SECONDS = 15.0
_WAL_BYTES = 8 * 1024 * 1024
_VACUUM_PAGES = 1_000
_MAX_PROBLEMS = 20

_Row = tuple[Any, ...]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    pk TEXT NOT NULL, sk TEXT NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL, expires_at INTEGER,
    checksum INTEGER,
    PRIMARY KEY (pk, sk)
) WITHOUT ROWID
"""
_ADD_CHECKSUMS = "ALTER TABLE items ADD COLUMN checksum INTEGER"


class SqliteTable:
    """Items in the SQLite file `path`, which is created when missing.

    With `read_only`, nothing is created or changed (`storage.local.read_only`), and writes raise StorageFull.
    """

    has_cheap_transactions = True

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Raises Corrupt, UnsupportedFormat, StorageFull, Unavailable."""
        self._path = path
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        self._read_only = ReadOnlyFile(path) if read_only else None
        has_checksums = True
        with _map_errors(path):
            if self._read_only is None:
                self._prepare(self._connection())
            else:
                has_checksums = _require_readable(self._connection(), path)
        columns = item_statements.ALL_COLUMNS if has_checksums else f"{item_statements.COLUMNS}, NULL"
        self._select = f"SELECT {columns} FROM items"
        self._get = f"{self._select} WHERE pk = ? AND sk = ?"

    def time(self) -> None:
        """SQLite has no clock of its own."""

    def change_marker(self) -> object:
        """SQLite's counter of commits by other connections, and that of this thread's own changes."""
        if self._read_only is not None:
            return None
        with _map_errors(self._path):
            connection = self._connection()
            others = connection.execute("PRAGMA data_version").fetchone()[0]
        return connection, others, connection.total_changes

    def get(self, pk: str, sk: str) -> Item | None:
        """Return the item, or None. Raises Corrupt if it does not match its checksum."""
        with _map_errors(self._path):
            row = self._connection().execute(self._get, (pk, sk)).fetchone()
        return None if row is None else self._verified(row)

    def _verified(self, row: _Row) -> Item:
        return item_checksum.verified(Item(*row[:-1]), row[-1], self._path.name)

    def get_many(self, keys: Sequence[tuple[str, str]]) -> list[Item | None]:
        """Return the items in the order of `keys`, None for a missing one."""
        return [self.get(pk, sk) for pk, sk in keys]

    def put(
        self,
        pk: str,
        sk: str,
        value: bytes,
        *,
        if_absent: bool = False,
        if_version: int | None = None,
        expires_at: int | None = None,
    ) -> int:
        """Write the item and return its new version; durable when it returns."""
        with _map_errors(self._path):
            return item_statements.put(self._connection(), Put(pk, sk, value, if_absent, if_version, expires_at))

    def put_many(self, puts: Sequence[Put]) -> None:
        """Put all items unconditionally, here in one transaction."""
        self.transact(puts)

    def query(
        self,
        pk: str,
        *,
        after: str = "",
        before: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[Item]:
        """Return the items of `pk` between `after` and `before`, both exclusive, in order of `sk`. Raises Corrupt."""
        upper_bound, arguments = ("", (pk, after)) if before is None else (" AND sk < ?", (pk, after, before))
        order = "DESC" if reverse else "ASC"
        sql = f"{self._select} WHERE pk = ? AND sk > ?{upper_bound} ORDER BY sk {order} LIMIT ?"
        with _map_errors(self._path):
            rows = self._connection().execute(sql, (*arguments, -1 if limit is None else limit)).fetchall()
        return [self._verified(row) for row in rows]

    def delete(self, pk: str, sk: str, *, if_version: int | None = None) -> None:
        """Remove the item."""
        with _map_errors(self._path):
            item_statements.delete(self._connection(), Delete(pk, sk, if_version))

    def transact(self, writes: Sequence[Write]) -> None:
        """Apply all of `writes` or none."""
        with _map_errors(self._path):
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                for write in writes:
                    match write:
                        case Put():
                            item_statements.put(connection, write)
                        case Delete():
                            item_statements.delete(connection, write)
                        case Check():
                            item_statements.check(connection, write)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def problems(self) -> list[str]:
        """What is damaged, one sentence each: SQLite's own check of the file, then the checksum of every item."""
        try:
            with _map_errors(self._path):
                return [*_structural_problems(self._connection(), self._path), *self._damaged_items()]
        except Corrupt as error:
            return [error.message]

    def _damaged_items(self) -> Iterator[str]:
        # As bytes, because a damaged key may not be UTF-8.
        statement = self._select.replace("pk, sk", "CAST(pk AS BLOB), CAST(sk AS BLOB)")
        for pk, sk, value, version, expires_at, stored in self._connection().execute(statement):
            names = [name.decode(errors="surrogateescape") if isinstance(name, bytes) else name for name in (pk, sk)]
            if not item_checksum.is_intact(Item(names[0], names[1], value, version, expires_at), stored):
                shown = " ".join(map(ascii, names))
                yield f"item {shown} of {self._path.name} does not match its checksum"

    def vacuum(self, max_pages: int | None = None) -> None:
        """Return free pages (4 KiB each), at most `max_pages` of them, to the file system.

        It works in steps of a few milliseconds, because a step blocks writers.
        """
        with _map_errors(self._path):
            connection = self._connection()
            free = connection.execute("PRAGMA freelist_count").fetchone()[0]
            for _ in range(0, free if max_pages is None else min(free, max_pages), _VACUUM_PAGES):
                # The pragma returns a row per page without columns; `execute` would stop after the first.
                connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")

    def scrub(self) -> bool:
        """Write the file anew and empty the write-ahead log; False while another process reads an older state."""
        with _map_errors(self._path):
            connection = self._connection()
            connection.execute("VACUUM")
            is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return not is_busy

    def backup_to(self, path: Path) -> None:
        """Write a consistent copy of the table into the new file `path`, without blocking writers."""
        with _map_errors(path):
            self._connection().execute("VACUUM INTO ?", (str(path),))

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._local = threading.local()
            if self._read_only is not None:
                self._read_only.close()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect() if self._read_only is None else self._read_only.connect(_BUSY_SECONDS)
            self._local.connection = connection
            with self._lock:
                self._connections.append(connection)
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        connection.create_function("item_checksum", 5, item_checksum.checksum, deterministic=True)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _WITHOUT_CHECKSUMS, FORMAT):
            raise UnsupportedFormat(str(self._path), version, FORMAT)
        if version == 0:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # A copy made by VACUUM INTO is not in WAL mode; for other files this changes nothing.
        use_wal(connection)
        if version == 0:
            connection.execute(_SCHEMA)
        elif version == _WITHOUT_CHECKSUMS:
            _add_checksums(connection)
        if version != FORMAT:
            connection.execute(f"PRAGMA user_version = {FORMAT}")


def _add_checksums(connection: sqlite3.Connection) -> None:
    """Add the column of checksums, unless another process has done so."""
    connection.execute("BEGIN IMMEDIATE")
    if not _has_checksums(connection):
        connection.execute(_ADD_CHECKSUMS)
    connection.execute("COMMIT")


def _has_checksums(connection: sqlite3.Connection) -> bool:
    return "checksum" in [row[1] for row in connection.execute("PRAGMA table_info(items)")]


def _require_readable(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the items of a table that is only read have checksums. Raises UnsupportedFormat."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (_WITHOUT_CHECKSUMS, FORMAT):
        raise UnsupportedFormat(str(path), version, FORMAT)
    return _has_checksums(connection)


def _structural_problems(connection: sqlite3.Connection, path: Path) -> Iterator[str]:
    for (line,) in connection.execute(f"PRAGMA integrity_check({_MAX_PROBLEMS})"):
        if line != "ok":
            yield f"{path.name} is damaged: {' '.join(str(line).split())}"


_ADVICE = "stop the server and restore the file from a backup"
_ERRORS: dict[int, Callable[[Path, str], AfterglowError]] = {
    sqlite3.SQLITE_BUSY: lambda path, text: Unavailable(f"{path.name} is locked by another writer: {text}"),
    sqlite3.SQLITE_LOCKED: lambda path, text: Unavailable(f"{path.name} is locked by another writer: {text}"),
    sqlite3.SQLITE_FULL: lambda path, text: StorageFull(f"no space left to write {path.name}: {text}"),
    sqlite3.SQLITE_IOERR: lambda path, text: StorageFull(f"{path.name} cannot be written: {text}"),
    sqlite3.SQLITE_READONLY: lambda path, text: StorageFull(f"{path.name} cannot be written: {text}"),
    sqlite3.SQLITE_CORRUPT: lambda path, text: Corrupt(f"{path.name} is damaged ({text}): {_ADVICE}"),
    sqlite3.SQLITE_NOTADB: lambda path, text: Corrupt(f"{path.name} is damaged ({text}): {_ADVICE}"),
}


class _map_errors:  # noqa: N801  used like a function, for every call
    """Raises the errors of the port for those of SQLite in the file `path`."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, sqlite3.Error):
            return
        primary_code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if not primary_code and "decode" in str(error):  # Python's own error: a text that is not UTF-8
            primary_code = sqlite3.SQLITE_CORRUPT
        path, error_class = self._path, _ERRORS.get(primary_code)
        raise (
            error_class(path, str(error)) if error_class else Unavailable(f"{path.name} did not respond: {error}")
        ) from error
