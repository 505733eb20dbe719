"""How far a collection's checkpoint is behind its log: asked of the log alone, without applying anything."""

from dataclasses import dataclass
from uuid import UUID

from afterglow.catalog import collections
from afterglow.catalog import state as states
from afterglow.catalog.model import Collection
from afterglow.collection.types import IndexingStatus
from afterglow.errors import Corrupt
from afterglow.log import read as log
from afterglow.segment import manifest as manifests
from afterglow.segment.array_file import RESTORE_HINT
from afterglow.storage.ports import ObjectNotFound, Stores

_LOOKS = 10


@dataclass(frozen=True, slots=True)
class UnflushedLog:
    """The unfolded tail: operations, bytes of batches, the number of the last entry of the log; and whose it is."""

    collection: Collection
    ops: int
    byte_size: int
    last_seq: int


def checkpoint_count(collection: Collection) -> int:
    """How many checkpoints there have been, this one included. Raises Corrupt."""
    return 0 if collection.manifest_key is None else manifests.parse_key(collection.manifest_key).number


def unflushed(stores: Stores, collection_id: UUID) -> UnflushedLog | None:
    """What waits to be folded, None for a collection that is not there any more. Raises Corrupt, Unavailable."""
    item = collections.read_state(stores.table, collection_id)
    return None if item is None else _unflushed_after(stores, states.decode(item))


def indexing_status(stores: Stores, collection: Collection) -> IndexingStatus:
    """Operations logged, and of those the ones that are folded and need no graph or have one.

    Raises NotFound, Corrupt, Unavailable.
    """
    missing: ObjectNotFound | None = None
    for _ in range(_LOOKS):
        behind = _unflushed_after(stores, collection)
        if behind is None:
            raise collections.not_found(collection.id)
        state = behind.collection
        try:
            flat = _unindexed_rows(stores, state)
        except ObjectNotFound as error:
            missing = error  # replaced, and collected, since the state was read
            continue
        without_graph = flat if flat >= stores.settings.hnsw_min_rows else 0
        return IndexingStatus(
            total_ops=state.flushed_ops + behind.ops, indexed_ops=max(state.flushed_ops - without_graph, 0)
        )
    raise Corrupt(f"the checkpoint of collection {collection.id} cannot be read: {missing}; {RESTORE_HINT}")


def _unindexed_rows(stores: Stores, collection: Collection) -> int:
    """Live rows of segments without a graph."""
    if collection.manifest_key is None:
        return 0
    segments = manifests.load(stores.objects, collection.manifest_key).segments
    return sum(segment.live_rows for segment in segments if not segment.has_graph)


def _unflushed_after(stores: Stores, collection: Collection) -> UnflushedLog | None:
    """What follows the checkpoint of a state; of a newer one where there is, as its entries may be gone by now."""
    for _ in range(_LOOKS):
        if collection.is_dropped:
            return None
        news = log.read_after(stores.table, collection.id, collection.flushed_seq)
        if news.state is None:
            return None
        if news.state.version == collection.version and not news.trimmed:
            return UnflushedLog(
                collection=collection,
                ops=sum(entry.op_count for entry in news.entries),
                byte_size=sum(entry.byte_size for entry in news.entries),
                last_seq=news.entries[-1].seq if news.entries else collection.flushed_seq,
            )
        collection = states.decode(news.state)
    raise Corrupt(f"the log of collection {collection.id} does not go on after its checkpoint; {RESTORE_HINT}")
