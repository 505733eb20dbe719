"""How much of a collection's log waits to be folded."""

from dataclasses import dataclass
from uuid import UUID

from afterglow.catalog import keys
from afterglow.catalog import state as states
from afterglow.log import read as log
from afterglow.storage.stores import Stores


@dataclass(frozen=True, slots=True)
class Waiting:
    """The unfolded tail: operations, bytes of batches, and the number of the last entry of the log."""

    ops: int
    size: int
    last: int


def waiting(stores: Stores, collection_id: UUID) -> Waiting | None:
    """What waits, None for a collection that is not there any more."""
    item = stores.table.get(keys.collection(collection_id), keys.STATE)
    state = None if item is None else states.decode(item)
    if state is None or state.dropped:
        return None
    entries = log.read_after(stores.table, collection_id, state.folded).entries
    return Waiting(
        ops=sum(entry.ops for entry in entries),
        size=sum(entry.size for entry in entries),
        last=entries[-1].seq if entries else state.folded,
    )
