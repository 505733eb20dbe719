"""Takes vectors from deleted operations (`deleted_operations`) into an inventory.

Which of them are used: Chroma deletes operations from its queue once the files contain them, so a deleted operation on
a record that the tables list is no deleted record. If no other vector of the record is found, that of its newest
operation is used, unless the record was deleted after it. Of ids that the tables do not list it is unknown whether the
user deleted them, so their vectors become a part of its own, which is saved only on demand.
"""

from collections.abc import Iterator
from itertools import islice

from afterglow.bulk.chroma_directory import deleted_operations
from afterglow.bulk.chroma_directory.operations import DELETE
from afterglow.bulk.chroma_directory.parts import Inventory, Origin, Part
from afterglow.bulk.chroma_directory.sqlite_pages import open_pages
from afterglow.bulk.chroma_directory.tables import Tables, decode_seq

_PAGE_ROWS = 500
_TABLE = "deleted_operations"
_COLUMNS = "collection, id, seq INTEGER, created, kind INTEGER, dimension INTEGER, vector, encoding, metadata"
_NEWEST = (
    "SELECT number FROM deleted_operations o WHERE o.collection = i.collection AND o.id = i.id AND o.dimension = ? "
    "ORDER BY created DESC, seq DESC LIMIT 1"
)
_LATER_DELETE = (
    "SELECT 1 FROM deleted_operations d WHERE d.collection = o.collection AND d.id = o.id AND d.kind = ? "
    "AND (d.created > o.created OR d.seq > o.seq)"
)


def load(tables: Tables) -> None:
    """Read the deleted operations into the scratch database, once. Raises OSError."""
    if tables.count("SELECT count(*) FROM sqlite_master WHERE name = ?", _TABLE):
        return
    tables.connection.execute(f"CREATE TABLE {_TABLE} (number INTEGER PRIMARY KEY, {_COLUMNS})")
    if tables.file is None:
        return
    with tables.file.open("rb") as file:
        found = deleted_operations.find(open_pages(tables.file, file), is_damaged=tables.is_recovered)
        while batch := list(islice(found, _PAGE_ROWS)):
            tables.connection.executemany(
                f"INSERT INTO {_TABLE} VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                (
                    (
                        item.collection,
                        item.id,
                        item.seq,
                        item.created,
                        item.kind,
                        item.dimension,
                        item.vector,
                        item.encoding,
                        item.metadata,
                    )
                    for item in batch
                ),
            )
    tables.connection.execute(f"CREATE INDEX deleted_operations_index ON {_TABLE} (collection, id)")


def collections(tables: Tables) -> Iterator[str]:
    """The collections of the deleted operations."""
    for (collection,) in tables.connection.execute(f"SELECT DISTINCT collection FROM {_TABLE}"):  # noqa: S608
        yield collection


def restore_queue(tables: Tables, collection: str, after: int) -> None:
    """Put the operations after a number, the last that the files contain, back into a recovered queue. Raises OSError.

    Chroma deletes none of these, so they are copies of rows that are lost.
    """
    load(tables)
    lost = (
        "FROM deleted_operations o WHERE collection = ? AND seq > ? "
        "AND NOT EXISTS (SELECT 1 FROM source.embeddings_queue q WHERE q.seq_id = o.seq) GROUP BY seq"
    )
    # Of `operations` first, as the other statement makes them known.
    tables.connection.execute(
        f"INSERT INTO operations SELECT collection, id, seq, kind, dimension {lost}",
        [collection, after],
    )
    tables.connection.execute(
        "INSERT INTO source.embeddings_queue (seq_id, operation, topic, id, vector, encoding, metadata) "
        f"SELECT seq, kind, collection, id, vector, encoding, metadata {lost}",
        [collection, after],
    )


def use_for_records(tables: Tables, inventory: Inventory) -> None:
    """Give records without a vector that of their newest deleted operation. Raises OSError."""
    if inventory.is_mixed:
        _replace_uncertain(tables, inventory)
    _fill_missing(tables, inventory)
    _report(tables, inventory)


def _fill_missing(tables: Tables, inventory: Inventory) -> None:
    connection, collection = tables.connection, inventory.description.info.id
    is_needed = tables.count(
        "SELECT count(*) FROM inventory WHERE collection = ? AND part = ?", collection, Part.WITHOUT_VECTORS
    )
    if not is_needed:
        return
    load(tables)
    _find_dimension(tables, inventory)
    newest = _NEWEST.replace("ORDER", f"AND NOT EXISTS ({_LATER_DELETE}) ORDER")
    connection.execute(
        f"UPDATE inventory AS i SET origin = ?, place = ({newest}) WHERE collection = ? AND part = ?",  # noqa: S608
        [Origin.UNUSED, inventory.dimension, DELETE, collection, Part.WITHOUT_VECTORS],
    )
    connection.execute(
        "UPDATE inventory SET origin = ? WHERE collection = ? AND origin = ? AND place IS NULL",
        [Origin.NOWHERE, collection, Origin.UNUSED],
    )
    connection.execute(
        "UPDATE inventory SET part = ? WHERE collection = ? AND part = ? AND origin = ?",
        [Part.RECORDS, collection, Part.WITHOUT_VECTORS, Origin.UNUSED],
    )


def _replace_uncertain(tables: Tables, inventory: Inventory) -> None:
    """Give records with a vector of the files that of their last operation, if that is among the deleted ones."""
    load(tables)
    if not tables.has_records:
        return
    last = (
        "SELECT number FROM deleted_operations o JOIN source.embeddings e ON e.id = i.row "
        "AND o.seq = decode_seq(e.seq_id) WHERE o.collection = i.collection AND o.id = i.id AND o.dimension = ?"
    )
    tables.connection.execute(
        f"UPDATE inventory AS i SET origin = ?, segment = NULL, place = ({last}) "  # noqa: S608
        f"WHERE collection = ? AND part = ? AND origin = ? AND EXISTS ({last})",
        [
            Origin.UNUSED,
            inventory.dimension,
            inventory.description.info.id,
            Part.RECORDS,
            Origin.FILES,
            inventory.dimension,
        ],
    )


def add_deleted(tables: Tables, inventory: Inventory) -> None:
    """Add the ids that are in no other part but have a vector in a deleted operation. Raises OSError."""
    load(tables)
    _find_dimension(tables, inventory)
    collection = inventory.description.info.id
    tables.connection.execute(
        "INSERT OR IGNORE INTO inventory (collection, id, part, origin, applied) "
        "SELECT DISTINCT collection, id, ?, ?, -1 FROM deleted_operations WHERE collection = ? ORDER BY number",
        [Part.DELETED, Origin.NOWHERE, collection],
    )
    tables.connection.execute(
        f"UPDATE inventory AS i SET part = ?, origin = ?, segment = NULL, place = ({_NEWEST}) "  # noqa: S608
        f"WHERE collection = ? AND part = ? AND EXISTS ({_NEWEST})",
        [
            Part.DELETED_VECTORS,
            Origin.UNUSED,
            inventory.dimension,
            collection,
            Part.DELETED,
            inventory.dimension,
        ],
    )


def _find_dimension(tables: Tables, inventory: Inventory) -> None:
    """The dimension of most deleted operations, if it is not known otherwise."""
    if inventory.dimension is None:
        row = tables.connection.execute(
            "SELECT dimension FROM deleted_operations WHERE collection = ? AND dimension > 0 GROUP BY dimension "
            "ORDER BY count(*) DESC LIMIT 1",
            [inventory.description.info.id],
        ).fetchone()
        inventory.dimension = None if row is None else int(row[0])


def _report(tables: Tables, inventory: Inventory) -> None:
    """How many of the vectors are certain: those of the last operation of their record, by its number."""
    collection = inventory.description.info.id
    if not tables.count(
        "SELECT count(*) FROM inventory WHERE collection = ? AND origin = ?", collection, Origin.UNUSED
    ):
        return
    found = tables.connection.execute(
        "SELECT e.seq_id, o.seq FROM inventory i JOIN deleted_operations o ON o.number = i.place "
        "LEFT JOIN source.embeddings e ON e.id = i.row WHERE i.collection = ? AND i.origin = ?",
        [collection, Origin.UNUSED],
    )
    is_newest = [seq is not None and decode_seq(row_seq) == seq for row_seq, seq in found]
    inventory.damage.append(
        f"{len(is_newest)} vectors are from deleted rows of the queue; {is_newest.count(False)} of them may be "
        "older than their record"
    )
