"""Appending: where a batch is stored, and what is written together with its entry."""

import pytest

from afterglow.errors import Unavailable
from afterglow.log import append
from afterglow.log import entry as entries
from afterglow.log.entry import EntryKind
from afterglow.storage.ports import ConditionFailed, Put
from tests.log.collection_log import Log, batch
from tests.support.faulty import Fault, Faults
from tests.support.stores import with_faults


def test_only_large_batches_are_put_to_an_object(log: Log) -> None:
    small, large = (append.prepare(log.stores, log.id, batch(1, rows), ttl_key="ttl") for rows in (1, 50))
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


def test_an_old_payload_gets_a_key_of_the_present(log: Log) -> None:
    pending = append.prepare(log.stores, log.id, batch(1, 50))
    assert append.refresh_payload(log.stores, log.id, pending) is pending
    log.clock.skipped += log.stores.settings.gc_grace_seconds
    fresh = append.refresh_payload(log.stores, log.id, pending)
    assert fresh.entry.nonce == pending.entry.nonce
    assert fresh.entry.payload_key is not None
    assert entries.payload_time(fresh.entry.payload_key) == entries.milliseconds(fresh.stored_at)
    assert log.payloads() == [pending.entry.payload_key, fresh.entry.payload_key]
    inline = append.prepare(log.stores, log.id, batch(1))
    log.clock.skipped += log.stores.settings.gc_grace_seconds
    assert append.refresh_payload(log.stores, log.id, inline) is inline


def test_extra_writes_are_in_the_same_transaction(log: Log) -> None:
    entry = append.prepare(log.stores, log.id, batch(1)).entry
    extra = Put("other", "item", b"value", if_absent=True)
    assert append.append_at(log.stores, log.id, entry, 1, [extra])
    assert log.stores.table.get("other", "item") is not None
    later = append.prepare(log.stores, log.id, batch(2)).entry
    with pytest.raises(ConditionFailed):
        append.append_at(log.stores, log.id, later, 2, [extra])
    assert [stored.nonce for stored in log.after(0).entries] == [entry.nonce]


def test_a_failing_table_is_tried_three_times(log: Log) -> None:
    faults = Faults(lambda *_: Fault.REFUSED)
    entry = append.prepare(log.stores, log.id, batch(1)).entry
    with pytest.raises(Unavailable):
        append.append_at(with_faults(log.stores, faults), log.id, entry, 1)
    assert len(faults.calls) == 3
    assert 0 < log.clock.skipped < 1
