"""The SQL statements that write one item of the table (`storage.local.table`), each with its condition and checksum."""

import sqlite3

from afterglow.storage.local import item_checksum
from afterglow.storage.ports import Check, ConditionFailed, Delete, Item, Put

COLUMNS = "pk, sk, value, version, expires_at"
ALL_COLUMNS = f"{COLUMNS}, checksum"
_INSERT = f"INSERT INTO items ({ALL_COLUMNS}) VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT DO NOTHING"
_UPDATE = (
    "UPDATE items SET value = ?, version = version + 1, expires_at = ?, checksum = ? "
    "WHERE pk = ? AND sk = ? AND version = ?"
)
_VERSION = "SELECT version FROM items WHERE pk = ? AND sk = ?"
_UPSERT = f"""
INSERT INTO items ({ALL_COLUMNS}) VALUES (?, ?, ?, 1, ?, ?)
ON CONFLICT DO UPDATE SET value = excluded.value, version = version + 1, expires_at = excluded.expires_at,
    checksum = item_checksum(excluded.pk, excluded.sk, excluded.value, version + 1, excluded.expires_at)
RETURNING version
"""
_DELETE = "DELETE FROM items WHERE pk = ? AND sk = ?"


def put(connection: sqlite3.Connection, write: Put) -> int:
    """Put an item; its new version. Raises ConditionFailed."""
    version = 1 if write.if_version is None else write.if_version + 1
    checksum = item_checksum.checksum(write.pk, write.sk, write.value, version, write.expires_at)
    if write.if_absent:
        changed = connection.execute(_INSERT, (write.pk, write.sk, write.value, write.expires_at, checksum)).rowcount
    elif write.if_version is not None:
        arguments = (write.value, write.expires_at, checksum, write.pk, write.sk, write.if_version)
        changed = connection.execute(_UPDATE, arguments).rowcount
    else:
        rows = connection.execute(_UPSERT, (write.pk, write.sk, write.value, write.expires_at, checksum)).fetchall()
        return int(rows[0][0])
    if not changed:
        raise _condition_failed(connection, write.pk, write.sk)
    return version


def delete(connection: sqlite3.Connection, write: Delete) -> None:
    """Remove an item. Raises ConditionFailed."""
    if write.if_version is None:
        connection.execute(_DELETE, (write.pk, write.sk))
    else:
        arguments = (write.pk, write.sk, write.if_version)
        if not connection.execute(f"{_DELETE} AND version = ?", arguments).rowcount:
            raise _condition_failed(connection, write.pk, write.sk)


def check(connection: sqlite3.Connection, condition: Check) -> None:
    """Raises ConditionFailed if the condition does not hold."""
    row = connection.execute(_VERSION, (condition.pk, condition.sk)).fetchone()
    is_violated = row is not None if condition.if_absent else row is None or condition.if_version not in (None, row[0])
    if is_violated:
        raise _condition_failed(connection, condition.pk, condition.sk)


def _condition_failed(connection: sqlite3.Connection, pk: str, sk: str) -> ConditionFailed:
    row = connection.execute(f"SELECT {ALL_COLUMNS} FROM items WHERE pk = ? AND sk = ?", (pk, sk)).fetchone()
    existing = None if row is None else item_checksum.verified(Item(*row[:-1]), row[-1], "the table")
    return ConditionFailed(f"{pk} {sk} is not as expected", existing, (pk, sk))
