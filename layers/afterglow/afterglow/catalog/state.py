"""Encoding of the `STATE` item: JSON with a format version; a long value is compressed (zlib) and starts with `Z`.

Every read of a collection also reads its state, and DynamoDB bills reads per 4 KB: a schema of a thousand metadata keys
has 180 KB as JSON and a few KB compressed.
"""

import zlib
from typing import Any
from uuid import UUID

import orjson

from afterglow.catalog.model import AttachedFunction, Collection
from afterglow.errors import Corrupt, UnsupportedFormat
from afterglow.storage.ports import Item

FORMAT = 3
_COMPRESSED = b"Z"
_COMPRESS_FROM_BYTES = 2_048


def encode(collection: Collection) -> bytes:
    """Return the value of the collection's `STATE` item."""
    body = orjson.dumps(
        {
            "format": FORMAT,
            "id": str(collection.id),
            "name": collection.name,
            "tenant": collection.tenant,
            "database": collection.database,
            "namespace_id": str(collection.namespace_id),
            "schema": collection.schema,
            "metadata": collection.metadata,
            "dimension": collection.dimension,
            "manifest_key": collection.manifest_key,
            "flushed_seq": collection.flushed_seq,
            "flushed_ops": collection.flushed_ops,
            "next_expiry": collection.next_expiry,
            "is_dropped": collection.is_dropped,
            "created_at": collection.created_at,
            "fork_position": collection.fork_position,
            "fork_base": collection.fork_base,
            "lineage_id": None if collection.lineage_id is None else str(collection.lineage_id),
            **({} if collection.function is None else {"function": _encode_function(collection.function)}),
            **({"past_start": collection.past_start} if collection.past_start else {}),
            **({"erased_seq": collection.erased_seq} if collection.erased_seq else {}),
            **({"held_until": collection.held_until} if collection.held_until else {}),
        }
    )
    return body if len(body) < _COMPRESS_FROM_BYTES else _COMPRESSED + zlib.compress(body)


def decode(item: Item) -> Collection:
    """Return the collection of a `STATE` item. Raises Corrupt, UnsupportedFormat."""
    try:
        is_compressed = item.value.startswith(_COMPRESSED)
        value = orjson.loads(zlib.decompress(item.value[1:]) if is_compressed else item.value)
        if value["format"] != FORMAT:
            raise UnsupportedFormat(f"the state of {item.pk}", value["format"], FORMAT)
        return Collection(
            id=UUID(value["id"]),
            name=value["name"],
            tenant=value["tenant"],
            database=value["database"],
            namespace_id=UUID(value["namespace_id"]),
            schema=value["schema"],
            metadata=value["metadata"],
            dimension=value["dimension"],
            manifest_key=value["manifest_key"],
            flushed_seq=value["flushed_seq"],
            flushed_ops=value["flushed_ops"],
            next_expiry=value.get("next_expiry"),
            is_dropped=value["is_dropped"],
            created_at=value["created_at"],
            fork_position=value["fork_position"],
            fork_base=value["fork_base"],
            lineage_id=None if value["lineage_id"] is None else UUID(value["lineage_id"]),
            function=_decode_function(value["function"]) if "function" in value else None,
            past_start=value.get("past_start", 0),
            erased_seq=value.get("erased_seq", 0),
            held_until=value.get("held_until", 0.0),
            version=item.version,
        )
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise Corrupt(f"the state of {item.pk} cannot be read: {error}") from error


def _encode_function(function: AttachedFunction) -> dict[str, Any]:
    return {
        "id": str(function.id),
        "name": function.name,
        "function": function.function,
        "output_name": function.output_name,
        "output_id": str(function.output_id),
        "params": function.params,
        "completion_offset": function.completion_offset,
    }


def _decode_function(value: dict[str, Any]) -> AttachedFunction:
    return AttachedFunction(
        id=UUID(value["id"]),
        name=value["name"],
        function=value["function"],
        output_name=value["output_name"],
        output_id=UUID(value["output_id"]),
        params=value["params"],
        completion_offset=value["completion_offset"],
    )
