"""How far a collection's checkpoint is behind its log: asked of the log alone, without applying anything."""

from dataclasses import dataclass
from uuid import UUID

from afterglow.catalog import state as states
from afterglow.catalog.model import Collection
from afterglow.collection.types import IndexingStatus
from afterglow.errors import Corrupt, NotFound
from afterglow.log import read as log
from afterglow.segment import manifest as manifests
from afterglow.segment.array_file import ADVICE
from afterglow.storage.ports import ObjectMissing, Stores

_LOOKS = 10


@dataclass(frozen=True, slots=True)
class Waiting:
    """The unfolded tail: operations, bytes of batches, the number of the last entry of the log; and whose it is."""

    collection: Collection
    ops: int
    size: int
    last: int


def checkpoints(collection: Collection) -> int:
    """How many checkpoints there have been, this one included. Raises Corrupt."""
    return 0 if collection.manifest is None else manifests.place(collection.manifest).number


def waiting(stores: Stores, collection_id: UUID) -> Waiting | None:
    """What waits to be folded, None for a collection that is not there any more. Raises Corrupt, Unavailable."""
    item = log.read_state(stores.table, collection_id)
    return None if item is None else _after(stores, states.decode(item))


def indexing_status(stores: Stores, collection: Collection) -> IndexingStatus:
    """Operations logged, and of those the ones that are folded and need no graph or have one.

    Raises NotFound, Corrupt, Unavailable.
    """
    missing: ObjectMissing | None = None
    for _ in range(_LOOKS):
        behind = _after(stores, collection)
        if behind is None:
            raise NotFound(f"Collection [{collection.id}] does not exist.")
        state = behind.collection
        try:
            flat = _flat_rows(stores, state)
        except ObjectMissing as error:
            missing = error  # replaced, and collected, since the state was read
            continue
        without_graph = flat if flat >= stores.settings.graph_rows else 0
        return IndexingStatus(
            total_ops=state.folded_ops + behind.ops, indexed_ops=max(state.folded_ops - without_graph, 0)
        )
    raise Corrupt(f"the checkpoint of collection {collection.id} cannot be read: {missing}; {ADVICE}")


def _flat_rows(stores: Stores, collection: Collection) -> int:
    """Live rows of segments without a graph."""
    if collection.manifest is None:
        return 0
    segments = manifests.load(stores.objects, collection.manifest).segments
    return sum(segment.live for segment in segments if not segment.has_graph)


def _after(stores: Stores, collection: Collection) -> Waiting | None:
    """What follows the checkpoint of a state; of a newer one where there is, as its entries may be gone by now."""
    for _ in range(_LOOKS):
        if collection.dropped:
            return None
        news = log.read_after(stores.table, collection.id, collection.folded)
        if news.state is None:
            return None
        if news.state.version == collection.version and not news.trimmed:
            return Waiting(
                collection=collection,
                ops=sum(entry.ops for entry in news.entries),
                size=sum(entry.size for entry in news.entries),
                last=news.entries[-1].seq if news.entries else collection.folded,
            )
        collection = states.decode(news.state)
    raise Corrupt(f"the log of collection {collection.id} does not go on after its checkpoint; {ADVICE}")
