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
from afterglow.catalog.ttl import NextExpiry
from afterglow.segment import manifest as manifests
from afterglow.segment.manifest import Manifest
from afterglow.storage.ports import Stores


class CommitConflict(Exception):
    """Another indexer published first."""


def commit_manifest(
    stores: Stores, collection_id: UUID, base: str | None, manifest: Manifest, first: NextExpiry | None = None
) -> str:
    """Put `manifest`, made from the one under key `base`, in force; its key. Raises LostRace, NotFound.

    `first` is when its first record expires, where that is not as it was.
    """
    key = manifests.store(stores.objects, manifest, stores.system.nonce())

    def edit(present: Collection) -> Collection | None:
        if present.manifest_key == key:
            return None  # an adapter put it twice, because the first answer was lost
        if present.manifest_key != base:
            raise CommitConflict
        return replace(
            present,
            manifest_key=key,
            flushed_seq=manifest.flushed_seq,
            flushed_ops=manifest.flushed_ops,
            next_expiry=ttl.expires(present, first),
        )

    collections.update(stores.table, collection_id, edit)
    return key
