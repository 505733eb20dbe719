"""Append, read and trim: the promises of `afterglow.log`."""

from dataclasses import replace
from uuid import UUID

import pytest

from afterglow.catalog import keys
from afterglow.catalog import state as states
from afterglow.errors import Corrupt, Unavailable
from afterglow.log import append, read, trim
from afterglow.log import entry as entries
from afterglow.log.entry import EntryKind
from afterglow.log.read import LogTrimmed
from tests.log.collection_log import Log, batch, load_batch
from tests.support.batches import to_plain
from tests.support.faulty import Crash, Fault, Faults, nth
from tests.support.stores import with_faults


@pytest.mark.parametrize("rows", [1, 50])
def test_what_was_appended_is_read(log: Log, rows: int) -> None:
    log.fill(3, rows=rows)
    log_slice = log.after(0)
    assert not log_slice.trimmed
    assert [(entry.seq, entry.kind, entry.op_count) for entry in log_slice.entries] == [
        (seq, EntryKind.BATCH, rows) for seq in (1, 2, 3)
    ]
    for entry in log_slice.entries:
        assert to_plain(load_batch(log, entry)) == to_plain(batch(entry.seq, rows))
    assert [entry.seq for entry in log.after(2).entries] == [3]
    assert log.after(3).entries == []
    assert len(log.payloads()) == (3 if rows > 20 else 0)


def test_the_state_comes_with_the_entries(log: Log) -> None:
    state = log.after(0).state
    assert state is not None
    assert states.decode(state).id == log.id
    assert read.read_after(log.stores.table, UUID(int=9), 0) == read.LogSlice([], None, trimmed=False)


def test_a_taken_number_is_refused(log: Log) -> None:
    assert log.append(1, 1)
    assert not log.append(2, 1)
    (entry,) = log.after(0).entries
    assert load_batch(log, entry).ids == ["1-0"]


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST, Fault.REPEATED])
@pytest.mark.parametrize("failures", [1, 2])
def test_a_put_that_seems_to_fail_is_put_once(log: Log, fault: Fault, failures: int) -> None:
    entry = append.prepare(log.stores, log.id, [batch(1)]).entry
    faults = Faults(lambda number, _: fault if number < failures else None)
    assert append.append_at(with_faults(log.stores, faults), log.id, entry, 1, None)
    assert [stored.nonce for stored in log.after(0).entries] == [entry.nonce]


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST, Fault.REPEATED])
def test_a_conflict_differs_from_a_lost_response(log: Log, fault: Fault) -> None:
    log.append(1, 1)
    entry = append.prepare(log.stores, log.id, [batch(2)]).entry
    assert not append.append_at(with_faults(log.stores, Faults(nth(0, fault))), log.id, entry, 1, None)


def test_a_table_that_keeps_failing_is_unavailable(log: Log) -> None:
    entry = append.prepare(log.stores, log.id, [batch(1)]).entry
    with pytest.raises(Unavailable):
        append.append_at(with_faults(log.stores, Faults(lambda *_: Fault.REFUSED)), log.id, entry, 1, None)
    assert log.after(0).entries == []
    with pytest.raises(Unavailable):
        append.append_at(with_faults(log.stores, Faults(lambda *_: Fault.LOST)), log.id, entry, 1, None)
    assert [stored.nonce for stored in log.after(0).entries] == [entry.nonce]


def test_an_own_entry_is_recognised_even_as_a_placeholder(log: Log) -> None:
    entry = append.prepare(log.stores, log.id, [batch(1)]).entry
    assert append.append_at(log.stores, log.id, entry, 1, None)
    trim.trim(log.stores, log.id, 0, 1)
    assert append.append_at(log.stores, log.id, entry, 1, None)


def test_a_trimmed_slot_stays_taken(log: Log) -> None:
    log.fill(3)
    trim.trim(log.stores, log.id, 0, 3)
    for seq in (1, 2, 3):
        assert not log.append(9, seq)
    assert log.append(4, 4)


def test_trim_leaves_placeholders_and_all_payloads(log: Log) -> None:
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
        entry = replace(append.prepare(log.stores, log.id, [batch(seq)]).entry, seq=seq)
        puts.append((entries.key(seq), entries.encode(entry)))
    for sk, value in puts:
        log.stores.table.put(keys.collection(log.id), sk, value)
    assert trim.trim(log.stores, log.id, 0, 450) == 450
    assert [entry.seq for entry in log.after(450).entries] == [451]


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_crashed_trim_is_finished_by_the_next(log: Log, fault: Fault) -> None:
    log.fill(4, rows=50)
    crashes = 0
    for number in range(20):
        faults = Faults(nth(number, fault))
        try:
            trim.trim(with_faults(log.stores, faults), log.id, 0, 3)
        except Crash:
            crashes += 1
        log_slice = log.after(0)
        placeholders = [entry.seq for entry in log_slice.entries if entry.kind is EntryKind.PLACEHOLDER]
        assert placeholders in ([], [1, 2, 3])
        assert log_slice.trimmed == bool(placeholders)
    trim.trim(log.stores, log.id, 0, 3)
    assert crashes
    (last,) = log.after(3).entries
    assert last.payload_key in log.payloads()


def test_a_gap_differs_from_the_end(log: Log) -> None:
    log.fill(4)
    log.stores.table.delete(keys.collection(log.id), entries.key(2))
    assert log.after(0).trimmed
    assert log.after(1).trimmed
    assert not log.after(2).trimmed


def test_placeholders_are_deleted_and_nothing_else_is(log: Log) -> None:
    log.fill(4)
    trim.trim(log.stores, log.id, 0, 2)
    assert trim.delete_placeholders(log.stores, log.id, up_to=1) == 1
    assert trim.delete_placeholders(log.stores, log.id, up_to=4) == 1
    assert [entry.seq for entry in log.after(2).entries] == [3, 4]
    assert log.after(0).trimmed
    assert trim.delete_placeholders(log.stores, log.id, up_to=4) == 0


def test_a_batch_trimmed_during_the_read_is_reported(log: Log) -> None:
    log.fill(1, rows=50)
    (entry,) = log.after(0).entries
    trim.trim(log.stores, log.id, 0, 1)
    assert load_batch(log, entry) is not None
    log.stores.objects.delete_many(log.payloads())
    with pytest.raises(LogTrimmed):
        load_batch(log, entry)
    trim.delete_placeholders(log.stores, log.id, up_to=1)
    with pytest.raises(LogTrimmed):
        load_batch(log, entry)


def test_a_lost_payload_is_corrupt_and_named(log: Log) -> None:
    log.fill(2, rows=50)
    entry = log.after(1).entries[0]
    assert entry.payload_key is not None
    log.stores.objects.delete(entry.payload_key)
    with pytest.raises(Corrupt, match=rf"log entry 2 of collection {log.id}.*{entry.payload_key}"):
        load_batch(log, entry)


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
        load_batch(log, entry)


def test_the_last_entry(log: Log) -> None:
    assert read.last_entry(log.stores.table, log.id) is None
    log.fill(3)
    trim.trim(log.stores, log.id, 0, 3)
    last = read.last_entry(log.stores.table, log.id)
    assert last is not None
    assert (last.seq, last.kind) == (3, EntryKind.PLACEHOLDER)
    assert append.append_at(log.stores, log.id, append.seal_entry(log.stores.system), 4, None)
    last = read.last_entry(log.stores.table, log.id)
    assert last is not None
    assert (last.seq, last.kind) == (4, EntryKind.SEAL)
