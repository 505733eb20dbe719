"""Reads the records of an inventory: vectors from the files or the queue, documents and metadata from the tables."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.bulk.chroma_directory.descriptions import metadata_value
from afterglow.bulk.chroma_directory.operations import UPSERT, Fields
from afterglow.bulk.chroma_directory.parts import Inventory, Origin, Part
from afterglow.bulk.chroma_directory.tables import Tables
from afterglow.collection.types import Records

_PAGE_ROWS = 500
_DOCUMENT = "chroma:document"
_URI = "chroma:uri"
_INTERNAL = "chroma:"
_COLUMNS = "number, id, origin, segment, place, row, applied"

_Row = tuple[int, str, int, str | None, int | None, int | None, int]


def read_pages(tables: Tables, inventory: Inventory, part: Part, offset: int, *, ids_only: bool) -> Iterator[Records]:
    """The records of a part from `offset` on, in insertion order."""
    collection = inventory.description.info.id
    query = f"SELECT {_COLUMNS} FROM inventory WHERE collection = ? AND part = ? AND number > ? ORDER BY number LIMIT ?"  # noqa: S608
    last = 0
    if offset:
        found = tables.connection.execute(
            "SELECT number FROM inventory WHERE collection = ? AND part = ? ORDER BY number LIMIT 1 OFFSET ?",
            [collection, part, offset - 1],
        ).fetchone()
        if found is None:
            return
        last = found[0]
    while rows := tables.connection.execute(query, [collection, part, last, _PAGE_ROWS]).fetchall():
        last = rows[-1][0]
        yield Records([row[1] for row in rows]) if ids_only else _read(tables, inventory, rows)


def read_ids(tables: Tables, inventory: Inventory, part: Part, ids: Sequence[str]) -> Records:
    """The existing ones of these records."""
    marks = ", ".join("?" * len(ids))
    query = f"SELECT {_COLUMNS} FROM inventory WHERE collection = ? AND part = ? AND id IN ({marks}) ORDER BY number"  # noqa: S608
    rows = tables.connection.execute(query, [inventory.description.info.id, part, *ids]).fetchall()
    return _read(tables, inventory, rows)


def _read(tables: Tables, inventory: Inventory, rows: list[_Row]) -> Records:
    fields = _stored_fields(tables, [row[5] for row in rows if row[5] is not None])
    _replay(tables, inventory, rows, fields)
    deleted = {row[4]: _key(row) for row in rows if row[2] == Origin.UNUSED and not fields[_key(row)].is_present}
    for number, metadata in _deleted(tables, ("number", "metadata"), list(deleted)):
        fields[deleted[number]].apply(UPSERT, metadata)
    values = [fields[_key(row)].values for row in rows]
    return Records(
        ids=[row[1] for row in rows],
        embeddings=_vectors(tables, inventory, rows),
        documents=[_text(item.get(_DOCUMENT)) for item in values],
        metadatas=[_metadata(item) for item in values],
        uris=[_text(item.get(_URI)) for item in values],
    )


def _key(row: _Row) -> int | str:
    return row[1] if row[5] is None else row[5]


def _vectors(tables: Tables, inventory: Inventory, rows: list[_Row]) -> NDArray[np.float32] | None:
    """The vectors, float32 (n, dimension); None if these rows have none."""
    if any(row[2] == Origin.NOWHERE for row in rows):
        return None
    vectors = np.empty((len(rows), inventory.dimension or 0), np.float32)
    for segment, files in inventory.files.items():
        places = [(index, row[4]) for index, row in enumerate(rows) if row[2] == Origin.FILES and row[3] == segment]
        if places:
            indices, elements = np.array(places, np.int64).T
            vectors[indices] = files.vectors(elements)
    queued = {row[4]: index for index, row in enumerate(rows) if row[2] == Origin.QUEUE}
    if queued:
        marks = ", ".join("?" * len(queued))
        found = tables.select(
            "embeddings_queue", ("seq_id", "vector", "encoding"), f"WHERE seq_id IN ({marks})", tuple(queued)
        )
        for seq, vector, encoding in found:
            vectors[queued[seq]] = _decode_vector(vector, encoding)
    unused = {row[4]: index for index, row in enumerate(rows) if row[2] == Origin.UNUSED}
    for number, vector, encoding in _deleted(tables, ("number", "vector", "encoding"), list(unused)):
        vectors[unused[number]] = _decode_vector(vector, encoding)
    return vectors


def _decode_vector(content: bytes, encoding: str | None) -> NDArray[Any]:
    """The vector of an operation of the queue, in the type of its components."""
    return np.frombuffer(content, "<i4" if encoding == "INT32" else "<f4")


def _deleted(tables: Tables, columns: Sequence[str], numbers: Sequence[int | None]) -> Iterable[tuple[Any, ...]]:
    """Columns of these deleted operations."""
    if not numbers:
        return ()
    marks = ", ".join("?" * len(numbers))
    query = f"SELECT {', '.join(columns)} FROM deleted_operations WHERE number IN ({marks})"  # noqa: S608
    return tables.connection.execute(query, numbers)


def _stored_fields(tables: Tables, rows: Sequence[int]) -> defaultdict[int | str, Fields]:
    """Documents and metadata of the tables' records, by the number of their row."""
    fields: defaultdict[int | str, Fields] = defaultdict(Fields)
    marks = ", ".join("?" * len(rows))
    rest, columns = f"WHERE id IN ({marks})", ("id", "key", "string_value", "int_value", "float_value", "bool_value")
    for row in rows:
        fields[row].is_present = True
    for row, key, *value in tables.select("embedding_metadata", columns, rest, tuple(rows)):
        fields[row].values[key] = metadata_value(*value)
    for row, key, *value in tables.select("embedding_metadata_array", columns, f"{rest} ORDER BY rowid", tuple(rows)):
        known = fields[row].values.get(key)
        item = metadata_value(*value)
        fields[row].values[key] = [*known, item] if isinstance(known, list) else [item]
    if tables.is_recovered:
        found = tables.select("embedding_fulltext_search_content", ("id", "c0"), rest, tuple(rows))
        for row, document in found:
            fields[row].values.setdefault(_DOCUMENT, document)
    return fields


def _replay(tables: Tables, inventory: Inventory, rows: list[_Row], fields: defaultdict[int | str, Fields]) -> None:
    """Apply the operations that the tables do not contain."""
    applied = {row[1]: (_key(row), row[6]) for row in rows}
    marks = ", ".join("?" * len(rows))
    newest = tables.connection.execute(
        f"SELECT seq FROM operations WHERE collection = ? AND id IN ({marks}) AND seq > ? ORDER BY seq",  # noqa: S608
        [inventory.description.info.id, *applied, min(row[6] for row in rows) if rows else 0],
    )
    while batch := [seq for (seq,) in newest.fetchmany(_PAGE_ROWS)]:
        rest = f"WHERE seq_id IN ({', '.join('?' * len(batch))}) ORDER BY seq_id"
        for seq, name, kind, metadata in tables.select(
            "embeddings_queue", ("seq_id", "id", "operation", "metadata"), rest, tuple(batch)
        ):
            key, after = applied[name]
            if seq > after:
                fields[key].apply(kind, metadata)


def _metadata(values: dict[str, Any]) -> bytes | None:
    public = {key: value for key, value in values.items() if not key.startswith(_INTERNAL) and _is_finite(value)}
    return orjson.dumps(public) if public else None


def _is_finite(value: Any) -> bool:
    items: Iterable[Any] = value if isinstance(value, list) else [value]
    return all(item is not None and (not isinstance(item, float) or np.isfinite(item)) for item in items)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
