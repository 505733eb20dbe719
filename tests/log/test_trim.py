"""Trimming: which entries become placeholders, and when those are deleted."""

import pytest

from afterglow.log import append, trim
from afterglow.log.entry import EntryKind
from tests.log.collection_log import Log


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
    assert append.append_at(log.stores, log.id, append.seal_entry(log.stores.system), 2)
    assert trim.trim(log.stores, log.id, 0, 2) == 1
    assert [entry.kind for entry in log.after(0).entries] == [EntryKind.PLACEHOLDER, EntryKind.SEAL]


def test_placeholders_of_a_later_trim_expire_later(log: Log) -> None:
    log.fill(3)
    ttl = log.stores.settings.log_placeholder_ttl_seconds
    trim.trim(log.stores, log.id, 0, 1)
    log.clock.skipped += ttl / 2
    trim.trim(log.stores, log.id, 1, 2)
    log.clock.skipped += ttl / 2 + 2
    assert trim.delete_expired_placeholders(log.stores, log.id) == 1
    log.clock.skipped += ttl / 2
    assert trim.delete_expired_placeholders(log.stores, log.id) == 1
    assert [entry.seq for entry in log.after(2).entries] == [3]
