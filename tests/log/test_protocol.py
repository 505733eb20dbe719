"""Append, read and trim: the promises of `afterglow.log`."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest

from afterglow.catalog import keys
from afterglow.catalog import state as states
from afterglow.errors import Corrupt, Unavailable
from afterglow.log import append, read, trim
from afterglow.log import entry as entries
from afterglow.log.batch import Batch, Op
from afterglow.log.entry import Entry, EntryKind
from afterglow.log.read import LogTrimmed
from afterglow.storage.ports import Stores
from tests.support.batches import to_plain
from tests.support.faulty import Crash, Fault, Faults, nth
from tests.support.stores import Clock, made_faulty, new_collection, quick_folder, stores_at


class Log:
    """One collection's log."""

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self.stores = stores
        self.clock = clock
        self.id: UUID = new_collection(stores)[1].id

    def append(self, number: int, seq: int, *, rows: int = 1) -> bool:
        prepared = append.prepare(self.stores, self.id, batch(number, rows))
        return append.append_at(self.stores, self.id, prepared.entry, seq)

    def fill(self, last: int, *, rows: int = 1) -> None:
        for seq in range(1, last + 1):
            assert self.append(seq, seq, rows=rows)

    def after(self, seq: int) -> read.LogSlice:
        return read.read_after(self.stores.table, self.id, seq)

    def payloads(self) -> list[str]:
        return [info.key for info in self.stores.objects.list(entries.payload_prefix(self.id))]


@pytest.fixture
def log() -> Iterator[Log]:
    with quick_folder() as folder:
        clock = Clock()
        stores = stores_at(folder, clock=clock)
        yield Log(stores, clock)
        stores.table.close()


def loaded(log: Log, entry: Entry) -> Batch:
    ((found, whole),) = read.load_batches(log.stores, log.id, [entry])
    assert found == entry
    assert whole is not None
    return whole


def batch(number: int, rows: int = 1) -> Batch:
    """`rows` over 20 are too large to lie in the table."""
    names = [f"{number}-{row}" for row in range(rows)]
    return Batch(Op.ADD, names, np.full((rows, 3), number, dtype=np.float32))


@pytest.mark.parametrize("rows", [1, 50])
def test_what_was_appended_is_read(log: Log, rows: int) -> None:
    log.fill(3, rows=rows)
    news = log.after(0)
    assert not news.trimmed
    assert [(entry.seq, entry.kind, entry.op_count) for entry in news.entries] == [
        (seq, EntryKind.BATCH, rows) for seq in (1, 2, 3)
    ]
    for entry in news.entries:
        assert to_plain(loaded(log, entry)) == to_plain(batch(entry.seq, rows))
    assert [entry.seq for entry in log.after(2).entries] == [3]
    assert log.after(3).entries == []
    assert len(log.payloads()) == (3 if rows > 20 else 0)


def test_the_state_comes_with_the_news(log: Log) -> None:
    state = log.after(0).state
    assert state is not None
    assert states.decode(state).id == log.id
    assert read.read_after(log.stores.table, UUID(int=9), 0) == read.LogSlice([], None, trimmed=False)


def test_a_taken_number_is_refused(log: Log) -> None:
    assert log.append(1, 1)
    assert not log.append(2, 1)
    (entry,) = log.after(0).entries
    assert loaded(log, entry).ids == ["1-0"]


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST, Fault.REPEATED])
@pytest.mark.parametrize("failures", [1, 2])
def test_a_put_that_seems_to_fail_is_put_once(log: Log, fault: Fault, failures: int) -> None:
    entry = append.prepare(log.stores, log.id, batch(1)).entry
    faults = Faults(lambda number, _: fault if number < failures else None)
    assert append.append_at(made_faulty(log.stores, faults), log.id, entry, 1)
    assert [each.nonce for each in log.after(0).entries] == [entry.nonce]


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST, Fault.REPEATED])
def test_a_conflict_is_told_from_a_lost_answer(log: Log, fault: Fault) -> None:
    log.append(1, 1)
    entry = append.prepare(log.stores, log.id, batch(2)).entry
    assert not append.append_at(made_faulty(log.stores, Faults(nth(0, fault))), log.id, entry, 1)


def test_a_table_that_keeps_failing_is_unavailable(log: Log) -> None:
    entry = append.prepare(log.stores, log.id, batch(1)).entry
    with pytest.raises(Unavailable):
        append.append_at(made_faulty(log.stores, Faults(lambda *_: Fault.REFUSED)), log.id, entry, 1)
    assert log.after(0).entries == []
    with pytest.raises(Unavailable):
        append.append_at(made_faulty(log.stores, Faults(lambda *_: Fault.LOST)), log.id, entry, 1)
    assert [each.nonce for each in log.after(0).entries] == [entry.nonce]


def test_an_own_entry_is_recognised_even_as_a_stub(log: Log) -> None:
    entry = append.prepare(log.stores, log.id, batch(1)).entry
    assert append.append_at(log.stores, log.id, entry, 1)
    trim.trim(log.stores, log.id, 0, 1)
    assert append.append_at(log.stores, log.id, entry, 1)


def test_a_trimmed_slot_stays_taken(log: Log) -> None:
    log.fill(3)
    trim.trim(log.stores, log.id, 0, 3)
    for seq in (1, 2, 3):
        assert not log.append(9, seq)
    assert log.append(4, 4)


def test_trim_leaves_stubs_and_all_payloads(log: Log) -> None:
    log.fill(5, rows=50)
    assert trim.trim(log.stores, log.id, 0, 3) == 3
    assert [entry.seq for entry in log.after(3).entries] == [4, 5]
    assert not log.after(3).trimmed
    for seq in (0, 1, 2):
        assert log.after(seq).trimmed
    assert trim.trim(log.stores, log.id, 0, 3) == 0
    assert trim.trim(log.stores, log.id, 3, 5) == 2
    assert len(log.payloads()) == 5


def test_trim_goes_on_over_many_pages(log: Log) -> None:
    puts = []
    for seq in range(1, 452):
        entry = replace(append.prepare(log.stores, log.id, batch(seq)).entry, seq=seq)
        puts.append((entries.key(seq), entries.encode(entry)))
    for sk, value in puts:
        log.stores.table.put(keys.collection(log.id), sk, value)
    assert trim.trim(log.stores, log.id, 0, 450) == 450
    assert [entry.seq for entry in log.after(450).entries] == [451]


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_trim_that_died_is_finished_by_the_next(log: Log, fault: Fault) -> None:
    log.fill(4, rows=50)
    died = 0
    for number in range(20):
        faults = Faults(nth(number, fault))
        try:
            trim.trim(made_faulty(log.stores, faults), log.id, 0, 3)
        except Crash:
            died += 1
        news = log.after(0)
        stubs = [entry.seq for entry in news.entries if entry.kind is EntryKind.PLACEHOLDER]
        assert stubs in ([], [1, 2, 3])
        assert news.trimmed == bool(stubs)
    trim.trim(log.stores, log.id, 0, 3)
    assert died
    (last,) = log.after(3).entries
    assert last.payload_key in log.payloads()


def test_a_gap_is_told_from_the_end(log: Log) -> None:
    log.fill(4)
    log.stores.table.delete(keys.collection(log.id), entries.key(2))
    assert log.after(0).trimmed
    assert log.after(1).trimmed
    assert not log.after(2).trimmed


def test_stubs_expire_and_nothing_else_does(log: Log) -> None:
    log.fill(4)
    trim.trim(log.stores, log.id, 0, 2)
    assert trim.delete_expired_placeholders(log.stores, log.id) == 0
    log.clock.skipped += log.stores.settings.log_placeholder_ttl_seconds + 2
    assert trim.delete_expired_placeholders(log.stores, log.id) == 2
    assert [entry.seq for entry in log.after(2).entries] == [3, 4]
    assert log.after(0).trimmed
    assert trim.delete_expired_placeholders(log.stores, log.id) == 0


def test_a_batch_that_was_trimmed_while_it_was_read_says_so(log: Log) -> None:
    log.fill(1, rows=50)
    (entry,) = log.after(0).entries
    trim.trim(log.stores, log.id, 0, 1)
    assert loaded(log, entry) is not None
    log.stores.objects.delete_many(log.payloads())
    with pytest.raises(LogTrimmed):
        loaded(log, entry)
    log.clock.skipped += log.stores.settings.log_placeholder_ttl_seconds + 2
    trim.delete_expired_placeholders(log.stores, log.id)
    with pytest.raises(LogTrimmed):
        loaded(log, entry)


def test_a_lost_payload_is_corrupt_and_named(log: Log) -> None:
    log.fill(2, rows=50)
    entry = log.after(1).entries[0]
    assert entry.payload_key is not None
    log.stores.objects.delete(entry.payload_key)
    with pytest.raises(Corrupt, match=rf"log entry 2 of collection {log.id}.*{entry.payload_key}"):
        loaded(log, entry)


@pytest.mark.parametrize("rows", [1, 50])
def test_a_damaged_batch_is_corrupt_and_named(log: Log, rows: int) -> None:
    log.fill(2, rows=rows)
    entry = log.after(1).entries[0]
    if entry.payload_key is None:
        assert entry.payload is not None
        entry = replace(entry, payload=entry.payload[:-1])
    else:
        log.stores.objects.put(entry.payload_key, log.stores.objects.get(entry.payload_key)[:-1])
    with pytest.raises(Corrupt, match=f"log entry 2 of collection {log.id}"):
        loaded(log, entry)


def test_the_last_entry(log: Log) -> None:
    assert read.last_entry(log.stores.table, log.id) is None
    log.fill(3)
    trim.trim(log.stores, log.id, 0, 3)
    last = read.last_entry(log.stores.table, log.id)
    assert last is not None
    assert (last.seq, last.kind) == (3, EntryKind.PLACEHOLDER)
    assert append.append_at(log.stores, log.id, append.seal_entry(log.stores.system), 4)
    last = read.last_entry(log.stores.table, log.id)
    assert last is not None
    assert (last.seq, last.kind) == (4, EntryKind.SEAL)


def test_a_payload_is_put_again_after_a_long_sleep(log: Log) -> None:
    prepared = append.prepare(log.stores, log.id, batch(1, 50))
    assert prepared.entry.payload_key is not None
    append.append_at(log.stores, log.id, prepared.entry, 1)
    log.stores.objects.delete(prepared.entry.payload_key)
    assert append.ensure_payload(log.stores, prepared) is prepared
    assert log.payloads() == []
    log.clock.skipped += log.stores.settings.gc_grace_seconds
    again = append.ensure_payload(log.stores, prepared)
    assert append.ensure_payload(log.stores, again) is again
    assert replace(again, stored_at=prepared.stored_at) == prepared
    (entry,) = log.after(0).entries
    assert len(loaded(log, entry).ids) == 50
