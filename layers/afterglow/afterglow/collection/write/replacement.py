"""Replaces a collection by another one without losing a write of either.

One transaction:

* the name of the old collection points to the new one, whose own name is deleted;
* the old collection is marked as dropped, with a deletion record, so that it can be restored;
* the log of the old collection is sealed, right after the entry that the new one has caught up with.

*Before: clients write to the old collection. After: to the new one, whoever asks for the name; a write to the old id is
refused.* A writer that appends first takes the position of the seal, and the transaction fails: the caller catches up
with that entry and tries again. So no acknowledged write is between the two.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from afterglow.catalog import collections, keys, ttl
from afterglow.catalog.model import Collection
from afterglow.collection.write.notification import notify_indexer
from afterglow.log import append
from afterglow.log import entry as entries
from afterglow.storage.ports import ConditionFailed, Put, Stores, Write


class _FlushedFurther(Exception):
    """Entries after the position are flushed already."""


def replace_collection(
    stores: Stores, old_id: UUID, new_id: UUID, position: int, extra_writes: Sequence[Write] = ()
) -> Collection | None:
    """Replace the old collection, whose log must end at `position`; None if it does not. The new one gets its metadata.

    Raises NotFound, Unavailable, StorageFull, and ConditionFailed where the condition of an extra write fails.
    """
    seal = replace(append.seal_entry(stores.system), seq=position + 1)
    seal_write = Put(keys.collection(old_id), entries.key(seal.seq), entries.encode(seal), if_absent=True)

    def edit(old: Collection, new: Collection) -> Collection:
        # Garbage collection deletes placeholders, so the position alone may look free.
        if old.flushed_seq > position:
            raise _FlushedFurther
        is_same_ttl_key = ttl.ttl_key(old.metadata) == ttl.ttl_key(new.metadata)
        next_expiry = new.next_expiry if is_same_ttl_key else ttl.unknown_expiry(old.metadata)
        return replace(new, metadata=old.metadata, next_expiry=next_expiry)

    try:
        replaced = collections.swap_name(
            stores.table, stores.system, old_id, new_id, edit=edit, extra_writes=[seal_write, *extra_writes]
        )
    except _FlushedFurther:
        return None
    except ConditionFailed as conflict:
        if conflict.key == (seal_write.pk, seal_write.sk):
            return None
        raise
    notify_indexer(stores, old_id, "dropped")
    return replaced
