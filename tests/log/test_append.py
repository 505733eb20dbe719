"""Appending: where a batch is stored, and what is written together with its entry."""

from dataclasses import replace

import pytest

from afterglow.catalog import collections, keys
from afterglow.errors import Unavailable
from afterglow.log import append, trim
from afterglow.log import entry as entries
from afterglow.log.entry import EntryKind
from afterglow.storage.ports import ConditionFailed, Put
from tests.log.collection_log import Log, batch
from tests.support.faulty import Dated, Fault, Faults
from tests.support.stores import with_faults


def test_only_large_batches_are_put_to_an_object(log: Log) -> None:
    small, large = (append.prepare(log.stores, log.id, [batch(1, rows)], ttl_key="ttl") for rows in (1, 50))
    assert small.entry.payload == small.payload
    assert small.entry.payload_key is None
    assert large.entry.payload is None
    assert log.payloads() == [large.entry.payload_key]
    for pending, rows in ((small, 1), (large, 50)):
        entry = pending.entry
        assert (entry.kind, entry.op_count, entry.byte_size, entry.ttl_key) == (
            EntryKind.BATCH,
            rows,
            len(pending.payload),
            "ttl",
        )


def test_an_entry_is_never_dated_before_the_log(log: Log) -> None:
    now = entries.milliseconds(log.clock.now())
    later = now + 8 * 24 * 3_600_000
    pending = append.prepare(log.stores, log.id, [batch(1)], log_time=later)
    assert append.stamp(log.stores, log.id, pending, later).entry.appended_at == later
    assert append.stamp(log.stores, log.id, pending, 5).entry.appended_at >= now


def test_in_an_account_a_clock_that_is_ahead_does_not_move_the_time_of_the_log(log: Log) -> None:
    ahead = 8 * 24 * 3_600.0
    stored = log.clock.now() - ahead
    stores = replace(log.stores, table=Dated(log.stores.table, stored))
    for rows in (1, 50):
        pending = append.stamp(stores, log.id, append.prepare(stores, log.id, [batch(1, rows)]), 5)
        assert entries.milliseconds(stored) <= pending.entry.appended_at <= entries.milliseconds(stored + 2)
        key = pending.entry.payload_key
        assert key is None or entries.payload_time(key) <= pending.entry.appended_at


def test_an_object_gets_another_key_when_the_log_has_passed_it(log: Log) -> None:
    pending = append.prepare(log.stores, log.id, [batch(1, 50)])
    key = pending.entry.payload_key
    assert key is not None
    grace = entries.milliseconds(log.stores.settings.gc_grace_seconds)
    unchanged = append.stamp(log.stores, log.id, pending, entries.payload_time(key) + grace // 2)
    assert unchanged.entry.payload_key == key
    log_time = entries.payload_time(key) + grace
    fresh = append.stamp(log.stores, log.id, pending, log_time)
    assert fresh.entry.nonce == pending.entry.nonce
    assert fresh.entry.payload_key is not None
    assert entries.payload_time(fresh.entry.payload_key) == log_time == fresh.entry.appended_at
    assert log.payloads() == [key, fresh.entry.payload_key]


@pytest.mark.parametrize("rows", [1, 50])
def test_a_number_below_what_is_flushed_is_not_taken(log: Log, rows: int) -> None:
    """Whether or not somebody has the number: the state has changed since the writer read it."""
    known = log.state().version
    collections.update(log.stores.table, log.id, lambda state: replace(state, flushed_seq=3))
    entry = append.prepare(log.stores, log.id, [batch(1, rows)]).entry
    assert not append.append_at(log.stores, log.id, entry, 1, known)
    assert log.after(0).entries == []
    assert append.append_at(log.stores, log.id, entry, 4, log.state().version)


def test_an_append_to_a_log_without_a_state_is_refused(log: Log) -> None:
    log.stores.table.delete(keys.collection(log.id), keys.STATE)
    entry = append.prepare(log.stores, log.id, [batch(1)]).entry
    assert not append.append_at(log.stores, log.id, entry, 1, 1)
    extra = Put("other", "item", b"value", if_absent=True)
    assert not append.append_at(log.stores, log.id, entry, 1, 1, extra_writes=[extra])
    assert log.stores.table.get("other", "item") is None


def test_an_outcome_that_cannot_be_known_is_not_guessed(log: Log) -> None:
    """The first attempt succeeds, its response is lost, and before the next the entry is flushed and trimmed away."""
    known = log.state().version
    entry = append.prepare(log.stores, log.id, [batch(1)]).entry

    def fault(number: int, _: str) -> Fault | None:
        if number == 1:
            trim.trim(log.stores, log.id, 0, 1)
            trim.delete_placeholders(log.stores, log.id, 1)
            collections.update(log.stores.table, log.id, lambda state: replace(state, flushed_seq=1))
        return Fault.LOST if number == 0 else None

    with pytest.raises(Unavailable, match="unknown whether entry 1"):
        append.append_at(with_faults(log.stores, Faults(fault)), log.id, entry, 1, known)


def test_extra_writes_are_in_the_same_transaction(log: Log) -> None:
    entry = append.prepare(log.stores, log.id, [batch(1)]).entry
    extra = Put("other", "item", b"value", if_absent=True)
    assert append.append_at(log.stores, log.id, entry, 1, None, extra_writes=[extra])
    assert log.stores.table.get("other", "item") is not None
    later = append.prepare(log.stores, log.id, [batch(2)]).entry
    with pytest.raises(ConditionFailed):
        append.append_at(log.stores, log.id, later, 2, None, extra_writes=[extra])
    assert [stored.nonce for stored in log.after(0).entries] == [entry.nonce]


def test_a_failing_table_is_tried_three_times(log: Log) -> None:
    faults = Faults(lambda *_: Fault.REFUSED)
    entry = append.prepare(log.stores, log.id, [batch(1)]).entry
    with pytest.raises(Unavailable):
        append.append_at(with_faults(log.stores, faults), log.id, entry, 1, None)
    assert len(faults.calls) == 3
    assert 0 < log.clock.skipped < 1
