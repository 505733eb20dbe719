"""One collection's log, for the tests of this folder."""

from uuid import UUID

import numpy as np

from afterglow.log import append, read
from afterglow.log import entry as entries
from afterglow.log.batch import Batch, Op
from afterglow.log.entry import Entry
from afterglow.storage.ports import Stores
from tests.support.stores import Clock, new_collection


class Log:
    """One collection's log."""

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self.stores = stores
        self.clock = clock
        self.id: UUID = new_collection(stores)[1].id

    def append(self, number: int, seq: int, *, rows: int = 1) -> bool:
        pending = append.prepare(self.stores, self.id, batch(number, rows))
        return append.append_at(self.stores, self.id, pending.entry, seq)

    def fill(self, last: int, *, rows: int = 1) -> None:
        for seq in range(1, last + 1):
            assert self.append(seq, seq, rows=rows)

    def after(self, seq: int) -> read.LogSlice:
        return read.read_after(self.stores.table, self.id, seq)

    def payloads(self) -> list[str]:
        return [info.key for info in self.stores.objects.list(entries.payload_prefix(self.id))]


def load_batch(log: Log, entry: Entry) -> Batch:
    """The batch of one entry."""
    ((loaded, batch),) = read.load_batches(log.stores, log.id, [entry])
    assert loaded == entry
    assert batch is not None
    return batch


def batch(number: int, rows: int = 1) -> Batch:
    """A batch of `rows` records; more than 20 are too large for the table."""
    names = [f"{number}-{row}" for row in range(rows)]
    return Batch(Op.ADD, names, np.full((rows, 3), number, dtype=np.float32))
