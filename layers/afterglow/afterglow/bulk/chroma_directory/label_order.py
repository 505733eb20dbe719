"""Assigns labels to ids without a label map, by the order of insertion.

Chroma 1.0 and later number labels in the order in which records are inserted, as SQLite numbers their rows: the n-th
live label belongs to the n-th row. Earlier versions number the records of a batch in arbitrary order. The assignment is
made only if nothing contradicts it:

- the collection was created by such a version;
- no label is there twice;
- no record was deleted since the files were written, and there are at least as many rows as labels;
- the rows beyond the number of labels, and no others, were inserted by operations that the files do not contain;
- it agrees with every entry that is left of the label map.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from afterglow.bulk.chroma_directory.operations import ADD, DELETE, UPDATE

_PAGE_ROWS = 500


def assign(connection: sqlite3.Connection, collection: str, records: Sequence[str], segment: str, indexed: int) -> int:
    """Replace the assigned labels of a segment by those of the order; returns the number of new ones, 0 if none.

    `records` are the segments with the collection's rows, `indexed` the last operation that the files contain.
    """
    later = _later_operations(connection, collection, indexed)
    query = "SELECT count(*) - count(DISTINCT label) FROM elements WHERE segment = ?"
    (repeated,) = connection.execute(query, [segment]).fetchone()
    if repeated or any(DELETE in kinds for kinds in later.values()):
        return 0
    known = dict(connection.execute("SELECT label, id FROM assigned WHERE segment = ?", [segment]))
    elements = connection.execute("SELECT label, place FROM elements WHERE segment = ? ORDER BY label", [segment])
    marks = ", ".join("?" * len(records))
    rows = connection.execute(
        f"SELECT embedding_id FROM source.embeddings WHERE segment_id IN ({marks}) ORDER BY id",  # noqa: S608
        list(records),
    )
    connection.execute("SAVEPOINT label_order")
    connection.execute("DELETE FROM assigned WHERE segment = ?", [segment])
    count = 0
    is_consistent = True
    while is_consistent and (page := elements.fetchmany(_PAGE_ROWS)):
        names = [name for (name,) in rows.fetchmany(len(page))]
        is_consistent = len(names) == len(page) and all(
            known.get(label, name) == name and later.get(name, [UPDATE])[0] != ADD
            for (label, _), name in zip(page, names, strict=False)
        )
        if is_consistent:
            connection.executemany(
                "INSERT INTO assigned VALUES (?, ?, ?, ?)",
                ((segment, name, *element) for element, name in zip(page, names, strict=True)),
            )
            count += len(page)
    if not is_consistent or not _are_new((name for (name,) in rows), later):
        connection.execute("ROLLBACK TO label_order")
        count = len(known)
    connection.execute("RELEASE label_order")
    return count - len(known)


def _later_operations(connection: sqlite3.Connection, collection: str, indexed: int) -> dict[str, list[int]]:
    """The kinds of the operations on each id that the files do not contain, in order."""
    later: dict[str, list[int]] = {}
    query = "SELECT id, kind FROM operations WHERE collection = ? AND seq > ? ORDER BY seq"
    for name, kind in connection.execute(query, [collection, indexed]):
        later.setdefault(name, []).append(kind)
    return later


def _are_new(names: Iterable[str], later: dict[str, list[int]]) -> bool:
    return all(later.get(name, [UPDATE])[0] != UPDATE for name in names)
