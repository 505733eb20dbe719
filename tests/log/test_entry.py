"""Entries of the log as items of the table."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.errors import Corrupt, UnsupportedFormat
from afterglow.log import entry as entries
from afterglow.log.entry import Entry, EntryKind
from afterglow.storage.ports import Item

nonces = st.text("0123456789abcdef", min_size=24, max_size=24)
numbers = st.integers(1, 10**20 - 1)
batches = st.builds(
    Entry,
    seq=numbers,
    kind=st.just(EntryKind.BATCH),
    nonce=nonces,
    appended_at=st.integers(0, 10**13),
    op_count=st.integers(1, 10_000),
    byte_size=st.integers(1, 2**40),
    payload_key=st.none() | st.text(min_size=1),
    payload=st.none() | st.binary(min_size=1),
    ttl_key=st.none() | st.text(),
    batch_count=st.integers(1, 3),
)


def as_item(entry: Entry) -> Item:
    return Item("C#x", entries.key(entry.seq), entries.encode(entry), 1)


@given(batches | st.builds(Entry, numbers, st.sampled_from([EntryKind.PLACEHOLDER, EntryKind.SEAL]), nonces))
def test_an_entry_survives_the_round_trip(entry: Entry) -> None:
    assert entries.decode(as_item(entry)) == entry


@given(batches)
def test_a_placeholder_keeps_number_nonce_time_and_object_and_nothing_else(entry: Entry) -> None:
    placeholder = entries.placeholder_for(entry)
    assert placeholder == Entry(
        entry.seq, EntryKind.PLACEHOLDER, entry.nonce, entry.appended_at, payload_key=entry.payload_key
    )
    assert entries.decode(as_item(placeholder)) == placeholder


@given(numbers, numbers)
def test_keys_sort_as_their_numbers_and_before_the_state(one: int, other: int) -> None:
    assert (entries.key(one) < entries.key(other)) == (one < other)
    assert entries.BEFORE_ALL < entries.key(one) < entries.AFTER_ALL < "STATE"


@given(st.integers(0, 10**13), batches)
def test_the_time_of_a_log_never_goes_back(log_time: int, entry: Entry) -> None:
    after = entries.advance_log_time(log_time, entry)
    assert after >= log_time
    assert after >= entry.appended_at
    assert after in (log_time, entry.appended_at)


def test_payloads_lie_below_their_collection() -> None:
    collection = UUID(int=5)
    key = entries.payload_key(collection, 1_700_000_000_000, "abc")
    assert key.startswith(entries.payload_prefix(collection))
    assert key.startswith(f"{collection}/")
    assert entries.payload_time(key) == 1_700_000_000_000
    assert key < entries.payload_key(collection, 10_000_000_000_000, "abc")


GOOD = Entry(3, EntryKind.BATCH, "n" * 24, 1_700_000_000_000, 1, 5, None, b"frame")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        entries.encode(GOOD).partition(b"\n")[0],
        entries.encode(GOOD).replace(b'"batch"', b'"other"'),
        entries.encode(GOOD).replace(b'"nonce"', b'"n0nce"'),
    ],
)
def test_an_unreadable_entry_is_corrupt_and_named(value: bytes) -> None:
    item = replace(as_item(GOOD), value=value)
    with pytest.raises(Corrupt, match=f"C#x {entries.key(3)}"):
        entries.decode(item)


@pytest.mark.parametrize(
    ("number", "advice"),
    [(1, "export each collection with that release"), (2, "export each collection"), (5, "upgrade to that release")],
)
def test_an_entry_of_another_format_is_refused_with_advice(number: int, advice: str) -> None:
    value = entries.encode(GOOD).replace(b'"format":3', b'"format":%d' % number)
    message = f"C#x {entries.key(3)} has format {number}, this release reads format 4; .*{advice}"
    with pytest.raises(UnsupportedFormat, match=message):
        entries.decode(replace(as_item(GOOD), value=value))


def test_only_an_entry_of_several_batches_has_the_newer_format() -> None:
    """A release before transactions reads every other entry, and refuses this one as of a newer release."""
    assert b'{"format":3,' in entries.encode(GOOD)
    assert b"batches" not in entries.encode(GOOD)
    assert b'{"format":4,' in entries.encode(replace(GOOD, batch_count=2))


@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_of_the_head_is_never_a_crash(position: int, bit: int) -> None:
    value = bytearray(entries.encode(GOOD))
    value[position % len(value)] ^= 1 << bit
    try:
        entries.decode(replace(as_item(GOOD), value=bytes(value)))
    except Corrupt:
        pass
