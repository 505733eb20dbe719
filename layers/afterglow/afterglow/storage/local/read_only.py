"""Opens the table's SQLite file for reading only: nothing in its folder is created or changed.

SQLite in WAL mode normally writes even for a reader: it creates an index of its write-ahead log, `-shm`. So:

1. A `-shm` exists: a process has the file open, or had when it crashed or was copied. Open read-only; SQLite shares or
   rebuilds the index, which is no data.
2. None exists, and the write-ahead log is missing or empty: open the file as immutable, without any lock.
3. None exists, but the log has content, or the index cannot be read: copy file and log to a temporary folder, and open
   the copy.
"""

import os
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from afterglow.temporary import Purpose, TemporaryFolder

_IMMUTABLE = "mode=ro&immutable=1"


class ReadOnlyFile:
    """A SQLite file that is only read; `close` removes its temporary copy, if it has one. Raises sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self._copy: TemporaryFolder | None = None
        self._path, self._options = path, "mode=ro"
        write_ahead, index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
        if not index.exists() and not _has_content(write_ahead):
            self._options = _IMMUTABLE
        elif not index.exists() or not self._is_readable():
            self._copy = TemporaryFolder(Purpose.READ)
            self._path = self._copy.path / path.name
            for file in (path, write_ahead):
                with suppress(FileNotFoundError):
                    shutil.copyfile(file, self._copy.path / file.name)
            self._options = "mode=rw"

    def connect(self, timeout: float) -> sqlite3.Connection:
        """A new connection; `timeout` is in seconds."""
        uri = f"file:{quote(os.fsencode(self._path.absolute()))}?{self._options}"
        return sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)

    def close(self) -> None:
        """Remove the temporary copy."""
        if self._copy is not None:
            self._copy.close()

    def _is_readable(self) -> bool:
        connection = self.connect(0.0)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            return error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
        finally:
            connection.close()
        return True


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
