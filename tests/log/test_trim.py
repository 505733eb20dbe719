"""Trimming: which entries become placeholders, and when those are deleted."""

from dataclasses import replace

import pytest

from afterglow.catalog import keys
from afterglow.log import append, trim
from afterglow.log import entry as entries
from afterglow.log.entry import EntryKind
from tests.log.collection_log import DAY, CostlyTransactions, Log


@pytest.mark.parametrize(("after", "up_to", "trimmed"), [(0, 0, []), (0, 2, [1, 2]), (1, 3, [2, 3]), (3, 9, [4])])
def test_only_the_range_is_trimmed(log: Log, after: int, up_to: int, trimmed: list[int]) -> None:
    log.fill(4)
    before = {entry.seq: entry.nonce for entry in log.after(0).entries}
    assert trim.trim(log.stores, log.id, after, up_to) == len(trimmed)
    remaining = log.after(0).entries
    assert [entry.seq for entry in remaining if entry.kind is EntryKind.PLACEHOLDER] == trimmed
    assert {entry.seq: entry.nonce for entry in remaining} == before


def test_a_seal_is_not_trimmed(log: Log) -> None:
    log.fill(1)
    assert append.append_at(log.stores, log.id, append.seal_entry(log.stores.system), 2, None)
    assert trim.trim(log.stores, log.id, 0, 2) == 1
    assert [entry.kind for entry in log.after(0).entries] == [EntryKind.PLACEHOLDER, EntryKind.SEAL]


@pytest.mark.parametrize("clock", [-10 * DAY, 10 * DAY])
def test_no_clock_deletes_a_placeholder(log: Log, clock: float) -> None:
    log.fill(3)
    trim.trim(log.stores, log.id, 0, 3)
    log.clock.skipped += clock
    items = log.stores.table.query(keys.collection(log.id), after=entries.BEFORE_ALL, before=entries.AFTER_ALL)
    assert [item.expires_at for item in items] == [None, None, None]


def test_where_appends_do_not_check_the_state_placeholders_stay(log: Log) -> None:
    log.fill(3)
    trim.trim(log.stores, log.id, 0, 3)
    costly = replace(log.stores, table=CostlyTransactions(log.stores.table))
    assert trim.delete_placeholders(costly, log.id, up_to=3) == 0
    assert [entry.kind for entry in log.after(0).entries] == [EntryKind.PLACEHOLDER] * 3


def test_a_placeholder_names_the_object_of_its_batch_as_long_as_that_exists(log: Log) -> None:
    log.fill(3, rows=50)
    names = [entry.payload_key for entry in log.after(0).entries]
    trim.trim(log.stores, log.id, 0, 3)
    assert [entry.payload_key for entry in log.after(0).entries] == names
    assert trim.delete_placeholders(log.stores, log.id, 3, {names[1] or ""}) == 2
    found = log.stores.table.query(keys.collection(log.id), after=entries.BEFORE_ALL, before=entries.AFTER_ALL)
    assert [entries.decode(item).payload_key for item in found] == [names[1]]


def test_placeholders_are_found_from_the_newest_on(log: Log) -> None:
    for seq in range(1, 231):
        log.append(seq, seq, at=seq)
    trim.trim(log.stores, log.id, 0, 225)
    found = trim.placeholders_back_to(log.stores.table, log.id, 220, 100)
    assert [entry.seq for entry in found] == list(range(220, 99, -1))
