"""How far a collection's checkpoint is behind its log: asked of the log alone, without applying anything."""

from dataclasses import dataclass
from uuid import UUID

from afterglow.catalog import collections
from afterglow.catalog import state as states
from afterglow.catalog.model import Collection
from afterglow.collection.model import IndexingStatus
from afterglow.log import read as log
from afterglow.segment import manifest as manifests
from afterglow.storage.ports import ObjectMissing
from afterglow.storage.stores import Stores


@dataclass(frozen=True, slots=True)
class Waiting:
    """The unfolded tail: operations, bytes of batches, the number of the last entry of the log; and whose it is."""

    collection: Collection
    ops: int
    size: int
    last: int


def waiting(stores: Stores, collection_id: UUID) -> Waiting | None:
    """What waits to be folded, None for a collection that is not there any more."""
    item = log.read_state(stores.table, collection_id)
    state = None if item is None else states.decode(item)
    return None if state is None or state.dropped else _after(stores, state)


def indexing_status(stores: Stores, collection: Collection) -> IndexingStatus:
    """Operations logged, and of those the ones that are folded and need no graph or have one."""
    try:
        flat = _flat_rows(stores, collection)
    except ObjectMissing:
        # The checkpoint was replaced, and collected, since the state was read.
        newer = collections.by_id(stores.table, collection.id)
        if newer is None or newer.manifest == collection.manifest:
            raise
        return indexing_status(stores, newer)
    behind = _after(stores, collection)
    without_graph = flat if flat >= stores.settings.graph_rows else 0
    return IndexingStatus(
        total_ops=collection.folded_ops + behind.ops, indexed_ops=max(collection.folded_ops - without_graph, 0)
    )


def _flat_rows(stores: Stores, collection: Collection) -> int:
    """Live rows of segments without a graph."""
    if collection.manifest is None:
        return 0
    segments = manifests.load(stores.objects, collection.manifest).segments
    return sum(segment.live for segment in segments if not segment.has_graph)


def _after(stores: Stores, collection: Collection) -> Waiting:
    entries = log.read_after(stores.table, collection.id, collection.folded).entries
    return Waiting(
        collection=collection,
        ops=sum(entry.ops for entry in entries),
        size=sum(entry.size for entry in entries),
        last=entries[-1].seq if entries else collection.folded,
    )
