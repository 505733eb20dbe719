"""The `STATE` item's value: JSON with a format version; deflated where it is long, after a `Z`.

Every read of a collection reads its state along, and on DynamoDB pays by 4 KB: a schema of a thousand metadata keys has
180 KB as JSON and a few deflated.
"""

import zlib
from uuid import UUID

import orjson

from afterglow.catalog.model import Collection
from afterglow.errors import Corrupt
from afterglow.storage.ports import Item

FORMAT = 2
_DEFLATED = b"Z"
_LONG = 2_048


def encode(collection: Collection) -> bytes:
    """The value of the collection's `STATE` item."""
    body = orjson.dumps(
        {
            "format": FORMAT,
            "id": str(collection.id),
            "name": collection.name,
            "tenant": collection.tenant,
            "database": collection.database,
            "home": str(collection.namespace_id),
            "schema": collection.schema,
            "metadata": collection.metadata,
            "dimension": collection.dimension,
            "manifest": collection.manifest_key,
            "folded": collection.flushed_seq,
            "folded_ops": collection.flushed_ops,
            "expires": collection.next_expiry,
            "dropped": collection.is_dropped,
            "created": collection.created_at,
            "origin": collection.fork_position,
            "begins": collection.fork_base,
            "family": None if collection.lineage_id is None else str(collection.lineage_id),
        }
    )
    return body if len(body) < _LONG else _DEFLATED + zlib.compress(body)


def decode(item: Item) -> Collection:
    """The collection that a `STATE` item describes. Raises Corrupt."""
    try:
        is_deflated = item.value.startswith(_DEFLATED)
        value = orjson.loads(zlib.decompress(item.value[1:]) if is_deflated else item.value)
        if value["format"] != FORMAT:
            raise Corrupt(f"{item.pk} has state format {value['format']}, this version reads {FORMAT}")
        return Collection(
            id=UUID(value["id"]),
            name=value["name"],
            tenant=value["tenant"],
            database=value["database"],
            namespace_id=UUID(value["home"]),
            schema=value["schema"],
            metadata=value["metadata"],
            dimension=value["dimension"],
            manifest_key=value["manifest"],
            flushed_seq=value["folded"],
            flushed_ops=value["folded_ops"],
            next_expiry=value.get("expires"),
            is_dropped=value["dropped"],
            created_at=value["created"],
            fork_position=value["origin"],
            fork_base=value["begins"],
            lineage_id=None if value["family"] is None else UUID(value["family"]),
            version=item.version,
        )
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise Corrupt(f"the state of {item.pk} cannot be read: {error}") from error
