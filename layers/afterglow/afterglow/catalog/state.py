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
            "home": str(collection.home),
            "schema": collection.schema,
            "metadata": collection.metadata,
            "dimension": collection.dimension,
            "manifest": collection.manifest,
            "folded": collection.folded,
            "folded_ops": collection.folded_ops,
            "expires": collection.expires,
            "dropped": collection.dropped,
            "created": collection.created,
            "origin": collection.origin,
            "begins": collection.begins,
            "family": None if collection.family is None else str(collection.family),
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
            home=UUID(value["home"]),
            schema=value["schema"],
            metadata=value["metadata"],
            dimension=value["dimension"],
            manifest=value["manifest"],
            folded=value["folded"],
            folded_ops=value["folded_ops"],
            expires=value.get("expires"),
            dropped=value["dropped"],
            created=value["created"],
            origin=value["origin"],
            begins=value["begins"],
            family=None if value["family"] is None else UUID(value["family"]),
            version=item.version,
        )
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise Corrupt(f"the state of {item.pk} cannot be read: {error}") from error
