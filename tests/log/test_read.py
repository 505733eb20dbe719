"""Reading: entries in order, and their batches."""

import pytest

from afterglow.errors import Corrupt
from afterglow.log import append, read
from afterglow.log.entry import Entry, EntryKind
from afterglow.log.read import _FETCH_GROUP
from tests.log.collection_log import Log, batch
from tests.support.faulty import Faults
from tests.support.stores import with_faults


def test_batches_are_fetched_in_groups(log: Log) -> None:
    count = 2 * _FETCH_GROUP + 1
    log.fill(count, rows=50)
    faults = Faults()
    loaded = list(read.load_batches(with_faults(log.stores, faults), log.id, log.after(0).entries))
    assert [(entry.seq, found.ids) for entry, (found,) in loaded] == [
        (seq, batch(seq, 50).ids) for seq in range(1, count + 1)
    ]
    assert faults.calls == ["objects.get_many"] * 3


def test_groups_are_bounded_by_bytes(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.fill(6, rows=50)
    pending = log.after(0).entries
    monkeypatch.setattr(read, "_GROUP_BYTES", 2 * pending[0].byte_size)
    faults = Faults()
    assert len(list(read.load_batches(with_faults(log.stores, faults), log.id, pending))) == 6
    assert faults.calls == ["objects.get_many"] * 3


def test_other_kinds_have_no_batch(log: Log) -> None:
    log.fill(1)
    assert append.append_at(log.stores, log.id, append.seal_entry(log.stores.system), 2, None)
    loaded = read.load_batches(log.stores, log.id, log.after(0).entries)
    assert [(entry.kind, len(found)) for entry, found in loaded] == [(EntryKind.BATCH, 1), (EntryKind.SEAL, 0)]


def test_a_batch_entry_without_a_batch_is_corrupt(log: Log) -> None:
    with pytest.raises(Corrupt, match=r"log entry 3 .* has no batch"):
        list(read.load_batches(log.stores, log.id, [Entry(3, EntryKind.BATCH, "n")]))
