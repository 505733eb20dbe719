"""The Table port over one SQLite file in WAL mode, shared by any number of threads and processes.

A put returns after SQLite has synced its write-ahead log (`synchronous=FULL`), so it survives a power failure. Each
thread has its own connection; SQLite's file locks serialize writers. *Crash at any point: SQLite recovers the last
committed state when the file is next opened.*
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from afterglow.errors import AfterglowError, Corrupt, StorageFull, Unavailable, UnsupportedFormat
from afterglow.storage.ports import Check, ConditionFailed, Delete, Item, Put, Write

FORMAT = 2
_BUSY_SECONDS = 15.0
_WAL_BYTES = 8 * 1024 * 1024
_VACUUM_PAGES = 1_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    pk TEXT NOT NULL, sk TEXT NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL, expires_at INTEGER,
    PRIMARY KEY (pk, sk)
) WITHOUT ROWID
"""
_COLUMNS = "pk, sk, value, version, expires_at"
_GET = f"SELECT {_COLUMNS} FROM items WHERE pk = ? AND sk = ?"
_INSERT = f"INSERT INTO items ({_COLUMNS}) VALUES (?, ?, ?, 1, ?) ON CONFLICT DO NOTHING"
_UPDATE = "UPDATE items SET value = ?, version = version + 1, expires_at = ? WHERE pk = ? AND sk = ? AND version = ?"
_UPSERT = f"""
INSERT INTO items ({_COLUMNS}) VALUES (?, ?, ?, 1, ?)
ON CONFLICT DO UPDATE SET value = excluded.value, version = version + 1, expires_at = excluded.expires_at
RETURNING version
"""
_DELETE = "DELETE FROM items WHERE pk = ? AND sk = ?"


class SqliteTable:
    """Items in the SQLite file `path`, which is created when missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        with _map_errors(path):
            self._prepare(self._connection())

    def get(self, pk: str, sk: str) -> Item | None:
        """Return the item, or None."""
        with _map_errors(self._path):
            row = self._connection().execute(_GET, (pk, sk)).fetchone()
        return None if row is None else Item(*row)

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
            return _put(self._connection(), Put(pk, sk, value, if_absent, if_version, expires_at))

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
        """Return the items of `pk` between `after` and `before`, both exclusive, in order of `sk`."""
        upper_bound, arguments = ("", (pk, after)) if before is None else (" AND sk < ?", (pk, after, before))
        order = "DESC" if reverse else "ASC"
        sql = f"SELECT {_COLUMNS} FROM items WHERE pk = ? AND sk > ?{upper_bound} ORDER BY sk {order} LIMIT ?"
        with _map_errors(self._path):
            rows = self._connection().execute(sql, (*arguments, -1 if limit is None else limit)).fetchall()
        return [Item(*row) for row in rows]

    def delete(self, pk: str, sk: str, *, if_version: int | None = None) -> None:
        """Remove the item."""
        with _map_errors(self._path):
            _delete(self._connection(), Delete(pk, sk, if_version))

    def transact(self, writes: Sequence[Write]) -> None:
        """Apply all of `writes` or none."""
        with _map_errors(self._path):
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                for write in writes:
                    match write:
                        case Put():
                            _put(connection, write)
                        case Delete():
                            _delete(connection, write)
                        case Check():
                            if connection.execute(_GET, (write.pk, write.sk)).fetchone() is None:
                                raise ConditionFailed(f"{write.pk} {write.sk} does not exist")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

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

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
            self._local.connection = connection
            with self._lock:
                self._connections.append(connection)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == FORMAT:
            # A copy made by VACUUM INTO is not in WAL mode; for other files this changes nothing.
            connection.execute("PRAGMA journal_mode = WAL")
            return
        if version != 0:
            raise UnsupportedFormat(str(self._path), version, FORMAT)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {FORMAT}")


def _put(connection: sqlite3.Connection, put: Put) -> int:
    if put.if_absent:
        changed = connection.execute(_INSERT, (put.pk, put.sk, put.value, put.expires_at)).rowcount
        version = 1
    elif put.if_version is not None:
        arguments = (put.value, put.expires_at, put.pk, put.sk, put.if_version)
        changed = connection.execute(_UPDATE, arguments).rowcount
        version = put.if_version + 1
    else:
        rows = connection.execute(_UPSERT, (put.pk, put.sk, put.value, put.expires_at)).fetchall()
        return int(rows[0][0])
    if not changed:
        raise _condition_failed(connection, put.pk, put.sk)
    return version


def _delete(connection: sqlite3.Connection, delete: Delete) -> None:
    if delete.if_version is None:
        connection.execute(_DELETE, (delete.pk, delete.sk))
    else:
        arguments = (delete.pk, delete.sk, delete.if_version)
        if not connection.execute(f"{_DELETE} AND version = ?", arguments).rowcount:
            raise _condition_failed(connection, delete.pk, delete.sk)


def _condition_failed(connection: sqlite3.Connection, pk: str, sk: str) -> ConditionFailed:
    row = connection.execute(_GET, (pk, sk)).fetchone()
    return ConditionFailed(f"{pk} {sk} is not as expected", None if row is None else Item(*row))


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


@contextmanager
def _map_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        primary_code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        error_class = _ERRORS.get(primary_code)
        raise (
            error_class(path, str(error)) if error_class else Unavailable(f"{path.name} did not respond: {error}")
        ) from error
