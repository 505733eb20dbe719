"""The table of a row, by its values alone: for rows of a file whose schema may be lost.

The tables of Chroma differ enough: ids of collections and segments are UUIDs, topics begin with `persistent://`, types
of segments with `urn:chroma:`. A table's columns changed between versions; they are found by what they contain.
"""

import re
from collections.abc import Sequence

from afterglow.bulk.chroma_directory.sqlite_values import Value

Row = dict[str, Value]

COLUMNS = {
    "tenants": ("id",),
    "databases": ("id", "name", "tenant_id"),
    "collections": ("id", "name", "dimension", "database_id", "config_json_str", "schema_str"),
    "collection_metadata": ("collection_id", "key", "str_value", "int_value", "float_value", "bool_value"),
    "segments": ("id", "scope", "collection"),
    "max_seq_id": ("segment_id", "seq_id"),
    "embeddings": ("id", "segment_id", "embedding_id", "seq_id"),
    "embedding_metadata": ("id", "key", "string_value", "int_value", "float_value", "bool_value"),
    "embedding_metadata_array": ("id", "key", "string_value", "int_value", "float_value", "bool_value"),
    "embedding_fulltext_search_content": ("id", "c0"),
    "embeddings_queue": ("seq_id", "operation", "topic", "id", "vector", "encoding", "metadata"),
}
"""The columns that are read, of the newest version of each table."""

TEXTS = {
    "collections": ("id", "name"),
    "collection_metadata": ("collection_id", "key"),
    "segments": ("id", "scope", "collection"),
    "max_seq_id": ("segment_id",),
    "embeddings": ("segment_id", "embedding_id"),
    "embedding_metadata": ("key",),
    "embedding_metadata_array": ("key",),
    "embeddings_queue": ("topic", "id"),
}
"""The columns that are text in every sound row. SQLite stores a value of any type in any column."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_QUEUE_CONFIGURATION = '{"automatically_purge"'
_MAX_OPERATION = 3


def identify(rowid: int, row: Sequence[Value]) -> tuple[str, Row] | None:
    """The table and the named values of a row; None if it belongs to none of these tables."""
    if not row or len(row) > 9:
        return None
    if row[0] is None:
        return _with_rowid(rowid, row)
    if is_uuid(row[0]):
        return _with_uuid(row)
    if type(row[0]) is int and len(row) in (5, 6) and type(row[1]) is str:
        return _metadata("embedding_metadata", "string_value", row)
    if len(row) == 1 and type(row[0]) is str:
        return "tenants", {"id": row[0]}
    return None


def _with_rowid(rowid: int, row: Sequence[Value]) -> tuple[str, Row] | None:
    """A row whose first column is the rowid, which SQLite stores as NULL."""
    if len(row) == 8 and _is_text(row[3]) and str(row[3]).startswith("persistent://"):
        operation, topic, name, vector, encoding, metadata = row[2:]
        if type(operation) is int and 0 <= operation <= _MAX_OPERATION and _is_text(name):
            values: Row = {
                "seq_id": rowid,
                "operation": operation,
                "topic": topic,
                "id": name,
                "vector": vector if type(vector) is bytes else None,
                "encoding": encoding if _is_text(encoding) else None,
                "metadata": metadata if _is_text(metadata) else None,
            }
            return "embeddings_queue", values
    if len(row) == 5 and is_uuid(row[1]) and _is_text(row[2]) and type(row[3]) in (int, bytes):
        return "embeddings", {"id": rowid, "segment_id": row[1], "embedding_id": row[2], "seq_id": row[3]}
    if len(row) == 2 and _is_text(row[1]) and not str(row[1]).startswith(_QUEUE_CONFIGURATION):
        return "embedding_fulltext_search_content", {"id": rowid, "c0": row[1]}
    return None


def _with_uuid(row: Sequence[Value]) -> tuple[str, Row] | None:
    if len(row) == 2 and type(row[1]) in (int, bytes):
        return "max_seq_id", {"segment_id": row[0], "seq_id": row[1]}
    if len(row) == 3 and _is_text(row[1]) and _is_text(row[2]):
        return "databases", {"id": row[0], "name": row[1], "tenant_id": row[2]}
    if len(row) >= 4 and str(row[1]).startswith("urn:chroma:") and row[2] in ("VECTOR", "METADATA"):
        return "segments", {"id": row[0], "scope": row[2], "collection": row[-1]}
    others = list(row[2:])
    if len(others) >= 2 and _is_text(row[1]) and (is_uuid(others[-1]) or any(map(is_uuid, others))):
        return "collections", _collection(row, others)
    if len(row) in (5, 6) and _is_text(row[1]):
        return _metadata("collection_metadata", "str_value", row)
    if len(row) in (3, 4) and _is_text(row[1]) and str(row[2]).startswith("persistent://"):
        return "collections", _collection(row, others)  # of Chroma 0.4.0 to 0.4.14: without databases
    return None


def _collection(row: Sequence[Value], others: list[Value]) -> Row:
    """`others`: topic (until 0.5.0), dimension, database, configuration, schema, as far as the version has them."""
    if others and _is_text(others[0]) and str(others[0]).startswith("persistent://"):
        del others[0]
    names = ("dimension", "database_id", "config_json_str", "schema_str")
    return {"id": row[0], "name": row[1], **dict(zip(names, others, strict=False))}


def _metadata(table: str, text: str, row: Sequence[Value]) -> tuple[str, Row] | None:
    names = COLUMNS[table]
    values: Row = dict(zip(names, row, strict=False))
    is_sound = (
        _is_text(values["key"])
        and type(values[text]) in (str, type(None))
        and type(values["int_value"]) in (int, type(None))
        and type(values["float_value"]) in (float, int, type(None))
        and type(values.get("bool_value")) in (int, type(None))
    )
    return (table, values) if is_sound else None


def _is_text(value: Value) -> bool:
    return type(value) is str


def is_uuid(value: Value) -> bool:
    """Whether a value is a UUID as Chroma writes it."""
    return type(value) is str and _UUID.fullmatch(value) is not None
