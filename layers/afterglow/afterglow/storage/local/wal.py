"""Switches a SQLite file to write-ahead logging, beside others that open it.

The switch of a new file locks it twice, and SQLite's busy timeout does not cover the second time: where two open it at
once, one may be refused at once (sqlite.org/c3ref/busy_handler.html). So it waits for a write transaction, which the
timeout does cover, and tries again: by then the other one has switched the file.
"""

import sqlite3

_ATTEMPTS = 20


def use_wal(connection: sqlite3.Connection) -> None:
    """Switch the connection's file to WAL mode; it stays as it is if it is already. Raises sqlite3.Error."""
    for number in range(1, _ATTEMPTS + 1):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or number == _ATTEMPTS:
                raise
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
        else:
            return
