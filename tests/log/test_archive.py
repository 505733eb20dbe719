"""Archives: flushed entries in one object, verified on read."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.errors import Corrupt
from afterglow.log import archive
from afterglow.log.archive import Archive
from afterglow.log.entry import Entry, EntryKind
from afterglow.storage.ports import ObjectNotFound
from tests.log.collection_log import Log

payloads = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=6)


def entries_of(contents: list[bytes], first: int = 1) -> list[Entry]:
    return [
        Entry(seq, EntryKind.BATCH, f"{seq:024}", 1_000 + seq, 1, len(content), None, content)
        for seq, content in enumerate(contents, first)
    ]


@given(payloads, st.integers(1, 10**12))
def test_entries_survive_the_round_trip(contents: list[bytes], first: int) -> None:
    archived = entries_of(contents, first)
    assert archive.decode(archive.encode(archived), "it") == archived


@given(payloads, st.data())
def test_damage_is_corrupt_and_named(contents: list[bytes], data: st.DataObject) -> None:
    content = bytearray(archive.encode(entries_of(contents)))
    position = data.draw(st.integers(0, len(content) - 1))
    cut = bytes(content[:position])
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    for damaged in (bytes(content), cut):
        with pytest.raises(Corrupt, match="the archive"):
            archive.decode(damaged, "the archive")


def test_a_key_holds_the_span_of_entries_and_times(log: Log) -> None:
    key = archive.store(log.stores, log.id, 1_005, entries_of([b"a", b"b"], first=3))
    parsed = archive.parse_key(key)
    assert parsed == Archive(key, 3, 4, 1_005, 1_005)
    assert archive.load(log.stores.objects, parsed) == entries_of([b"a", b"b"], first=3)


def test_archives_are_listed_by_their_last_entry(log: Log) -> None:
    for first, count in ((11, 1), (1, 10), (2, 3)):
        archive.store(log.stores, log.id, 0, entries_of([b"a"] * count, first))
    archive.store(log.stores, UUID(int=5), 0, entries_of([b"a"]))
    spans = [(found.first, found.last) for found in archive.list_archives(log.stores.objects, log.id)]
    assert spans == [(2, 4), (1, 10), (11, 11)]


@pytest.mark.parametrize("key", ["", "c/archive/1-2-3.log", "c/archive/a-1-2-3-n.log", "c/archive/1-2-3-4-5-6.log"])
def test_other_keys_are_corrupt(key: str) -> None:
    with pytest.raises(Corrupt, match="not the key of an archive"):
        archive.parse_key(key)


def test_an_archive_with_other_entries_than_its_key_is_corrupt(log: Log) -> None:
    key = archive.store(log.stores, log.id, 0, entries_of([b"a", b"b"]))
    log.stores.objects.put(key, archive.encode(entries_of([b"a"])))
    with pytest.raises(Corrupt, match="does not hold the entries 1 to 2"):
        archive.load(log.stores.objects, archive.parse_key(key))


def test_a_missing_archive_is_missing(log: Log) -> None:
    with pytest.raises(ObjectNotFound):
        archive.load(log.stores.objects, Archive("none", 1, 1, 0, 0))
