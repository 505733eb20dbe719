"""Making a new manifest the one in force.

1. Write the manifest under a key of its own. *Crash after: an orphan.*
2. Put the state on condition that it still names the manifest this one was made from. The loser of a race throws its
   work away: what it wrote is true all the same, and collected when it is of no use. *Crash after: the new checkpoint
   is in force.*
"""

from dataclasses import replace
from uuid import UUID

from afterglow.catalog import collections, ttl
from afterglow.catalog.model import Collection
from afterglow.catalog.ttl import Soonest
from afterglow.segment import manifest as manifests
from afterglow.segment.manifest import Manifest
from afterglow.storage.ports import Stores


class LostRace(Exception):
    """Another indexer published first."""


def publish(
    stores: Stores, collection_id: UUID, base: str | None, manifest: Manifest, first: Soonest | None = None
) -> str:
    """Put `manifest`, made from the one under key `base`, in force; its key. Raises LostRace, NotFound.

    `first` is when its first record expires, where that is not as it was.
    """
    key = manifests.store(stores.objects, manifest, stores.ambient.nonce())

    def edit(present: Collection) -> Collection | None:
        if present.manifest == key:
            return None  # an adapter put it twice, because the first answer was lost
        if present.manifest != base:
            raise LostRace
        return replace(
            present,
            manifest=key,
            folded=manifest.folded,
            folded_ops=manifest.folded_ops,
            expires=ttl.expires(present, first),
        )

    collections.change(stores.table, collection_id, edit)
    return key
