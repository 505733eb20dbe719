"""The index of an archive: its entries in ranges, verified when it is built and when a range is read."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterglow.errors import Corrupt
from afterglow.log import archive, archive_index
from afterglow.log.archive import Archive
from afterglow.storage.ports import ObjectNotFound
from tests.log.collection_log import Log
from tests.log.test_archive import entries_of, payloads

examples = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_index, "_PIECE_BYTES", 64)


def stored(log: Log, contents: list[bytes], first: int = 1) -> Archive:
    key = archive.store(log.stores, log.id, 0, entries_of(contents, first))
    return replace(archive.parse_key(key), size=len(log.stores.objects.get(key)))


@examples
@given(payloads, st.integers(1, 50), st.data())
def test_a_range_holds_its_entries(
    log: Log, small_pieces: None, contents: list[bytes], first: int, data: st.DataObject
) -> None:
    index = archive_index.build(log.stores.objects, stored(log, contents, first))
    start = data.draw(st.integers(first, first + len(contents) - 1))
    max_bytes = data.draw(st.integers(0, 800))
    found = archive_index.read(log.stores.objects, index, start, max_bytes)
    expected = entries_of(contents, first)[start - first :]
    assert found == expected[: len(found)]
    size = sum(len(archive.encode([entry])) - 12 for entry in found)
    assert len(found) == 1 or size <= max_bytes
    following = expected[len(found) : len(found) + 1]
    assert not following or size + len(archive.encode(following)) - 12 > max_bytes


@examples
@given(payloads, st.data())
def test_damage_is_corrupt(log: Log, small_pieces: None, contents: list[bytes], data: st.DataObject) -> None:
    listed, objects = stored(log, contents), log.stores.objects
    index = archive_index.build(objects, listed)
    content = bytearray(objects.get(listed.key))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    objects.put(listed.key, bytes(content))
    with pytest.raises(Corrupt):
        archive_index.build(objects, listed)
    if position >= 12:
        with pytest.raises(Corrupt):
            archive_index.read(objects, index, 1, 10**6)
    objects.put(listed.key, bytes(content[:position]))
    with pytest.raises(Corrupt):
        archive_index.build(objects, replace(listed, size=position))
    with pytest.raises(Corrupt):
        archive_index.build(objects, listed)


def test_an_archive_that_is_gone(log: Log) -> None:
    listed = stored(log, [b"a"])
    index = archive_index.build(log.stores.objects, listed)
    log.stores.objects.delete(listed.key)
    with pytest.raises(ObjectNotFound):
        archive_index.build(log.stores.objects, listed)
    with pytest.raises(ObjectNotFound):
        archive_index.read(log.stores.objects, index, 1, 100)


def test_archives_are_listed_from_a_number_on(log: Log) -> None:
    for first in (1, 3, 9, 10, 11):
        stored(log, [b"a"], first)
    objects = log.stores.objects
    for after in range(12):
        listed = archive.list_archives(objects, log.id, after)
        assert [found.last for found in listed] == [last for last in (1, 3, 9, 10, 11) if last > after]
