"""Commits a manifest: makes it the current checkpoint of its collection (optimistic concurrency, Kung & Robinson 1981).

1. Write the manifest under a new key. *Crash after: an orphan.*
2. Update the state on condition that its manifest is still the one that the new manifest is based on. The loser of a
   race discards its work: its manifest is a valid checkpoint all the same, and garbage collection removes it.
   *Crash after: the new checkpoint is current.*
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
    """Another indexer committed first."""


def commit_manifest(
    stores: Stores,
    collection_id: UUID,
    base: str | None,
    manifest: Manifest,
    next_expiry: NextExpiry | None = None,
    *,
    stored_format: int = manifests.FORMAT,
) -> str:
    """Make `manifest` current in place of the one with key `base`; its key. Raises CommitConflict, NotFound.

    `stored_format` is that of the manifest and its new segments (`choose_format`).
    `next_expiry` is the time of the first expiry in the manifest; None if the state's value is still right.
    """
    key = manifests.store(stores.objects, manifest, stores.system.nonce(), stored_format)

    def edit(existing: Collection) -> Collection | None:
        if existing.manifest_key == key:
            return None  # the adapter repeated the write, because the first response was lost
        if existing.manifest_key != base:
            raise CommitConflict
        return replace(
            existing,
            manifest_key=key,
            flushed_seq=manifest.flushed_seq,
            flushed_ops=manifest.flushed_ops,
            next_expiry=ttl.expires(existing, next_expiry),
        )

    collections.update(stores.table, collection_id, edit)
    return key


def choose_format(stores: Stores) -> int:
    """The format for the next checkpoint, which every reader reads (`storage.readers`). To be called before the work.

    Raises Busy, Unavailable.
    """
    return manifests.FORMAT if stores.readers is None else stores.readers.choose(manifests.FORMATS)
