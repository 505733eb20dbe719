"""One collection's log, for the tests of this folder."""

from dataclasses import replace
from uuid import UUID

import numpy as np

from afterglow.catalog import Collection, collections
from afterglow.log import append, read
from afterglow.log import entry as entries
from afterglow.log.batch import Batch, Op
from afterglow.log.entry import Entry
from afterglow.storage.ports import Stores, Table
from tests.support.faulty import Faults, FaultyTable
from tests.support.stores import Clock, new_collection

DAY = 24 * 3600.0


class CostlyTransactions(FaultyTable):
    """A table as in an account, where a transaction costs twice as much."""

    def __init__(self, inner: Table) -> None:
        super().__init__(inner, Faults())
        self.has_cheap_transactions = False


class Log:
    """One collection's log."""

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self.stores = stores
        self.clock = clock
        self.id: UUID = new_collection(stores)[1].id

    def append(self, number: int, seq: int, *, rows: int = 1, at: int = 0) -> bool:
        """Append as a writer that knows the present state."""
        pending = append.prepare(self.stores, self.id, [batch(number, rows)])
        entry = append.stamp(self.stores, self.id, pending, 0).entry
        entry = replace(entry, appended_at=at or entry.appended_at)
        return append.append_at(self.stores, self.id, entry, seq, self.state().version)

    def state(self) -> Collection:
        found = collections.by_id(self.stores.table, self.id)
        assert found is not None
        return found

    def fill(self, last: int, *, rows: int = 1) -> None:
        for seq in range(1, last + 1):
            assert self.append(seq, seq, rows=rows)

    def after(self, seq: int) -> read.LogSlice:
        return read.read_after(self.stores.table, self.id, seq)

    def payloads(self) -> list[str]:
        return [info.key for info in self.stores.objects.list(entries.payload_prefix(self.id))]


def load_batch(log: Log, entry: Entry) -> Batch:
    """The batch of one entry."""
    ((loaded, (batch,)),) = read.load_batches(log.stores, log.id, [entry])
    assert loaded == entry
    return batch


def batch(number: int, rows: int = 1) -> Batch:
    """A batch of `rows` records; more than 20 are too large for the table."""
    names = [f"{number}-{row}" for row in range(rows)]
    return Batch(Op.ADD, names, np.full((rows, 3), number, dtype=np.float32))
