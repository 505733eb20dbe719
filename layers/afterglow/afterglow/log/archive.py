"""The log archive: flushed entries, whose table items are placeholders by now, retained for time travel.

A flush writes the entries that it covers to one object before its manifest. The object is valid whichever manifest
wins: it holds the entries `first` … `last` of the log and nothing else, so two archives that overlap agree. Batches too
large for the table stay in their own objects (`log.entry.payload_key`); the archive refers to them.

Key: ``<collection>/archive/<last, 20 digits>-<first>-<start_time>-<end_time>-<nonce>.log``, where the two times are
those of the log before the first and at the last entry. On disk, integers little-endian::

    "AGA1" · u64 xxh3-64 of all that follows · for each entry: u64 number · u32 length · its value (`log.entry`)
"""

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import xxhash

from afterglow.errors import Corrupt
from afterglow.log import entry as entries
from afterglow.log.entry import Entry
from afterglow.storage import magic as magic_number
from afterglow.storage.ports import Item, Objects, Stores

MAGIC = b"AGA1"
_NAME = re.compile(r"\d+-\d+-\d+-\d+-[0-9A-Za-z]+\.log", re.ASCII)
_PREFIX = struct.Struct("<4sQ")
_ENTRY_PREFIX = struct.Struct("<QI")


@dataclass(frozen=True, slots=True)
class Archive:
    """A parsed archive key: the entries in the object, and the times (Unix ms) of the log before and after them.

    `size`: bytes of the object, where it was listed.
    """

    key: str
    first: int
    last: int
    start_time: int
    end_time: int
    size: int = 0


def prefix(collection_id: UUID) -> str:
    """The prefix of all archives of a collection."""
    return f"{collection_id}/archive/"


def store(stores: Stores, collection_id: UUID, log_time: int, archived: Sequence[Entry]) -> str:
    """Write consecutive entries, at least one, and return the key; `log_time` is the time of the log before them.

    Raises Unavailable, StorageFull.
    """
    end_time = max(log_time, *(entry.appended_at for entry in archived))
    span = f"{archived[-1].seq:020}-{archived[0].seq}-{log_time}-{end_time}"
    key = f"{prefix(collection_id)}{span}-{stores.system.nonce()}.log"
    stores.objects.put(key, encode(archived))
    return key


def parse_key(key: str) -> Archive:
    """Parse the key of an archive. Raises Corrupt."""
    try:
        last, first, start_time, end_time, _ = key.rpartition("/")[2].split("-")
        return Archive(key, int(first), int(last), int(start_time), int(end_time))
    except ValueError as error:
        raise Corrupt(f"{key} is not the key of an archive") from error


def list_archives(objects: Objects, collection_id: UUID, after: int = 0) -> Iterator[Archive]:
    """The collection's archives with entries after number `after`, ascending by their last entry.

    Other objects with their prefix are skipped.
    """
    start = prefix(collection_id)
    for info in objects.list(start, after=f"{start}{after + 1:020}" if after else ""):
        if is_key(info.key, collection_id):
            yield replace(parse_key(info.key), size=info.size)


def is_key(key: str, collection_id: UUID) -> bool:
    """Whether `key` is that of an archive of the collection."""
    start = prefix(collection_id)
    return key.startswith(start) and _NAME.fullmatch(key.removeprefix(start)) is not None


def load(objects: Objects, archive: Archive) -> list[Entry]:
    """The entries of an archive. Raises ObjectNotFound, Corrupt, Unavailable."""
    archived = decode(objects.get(archive.key), archive.key)
    if [entry.seq for entry in archived] != list(range(archive.first, archive.last + 1)):
        raise Corrupt(f"{archive.key} does not hold the entries {archive.first} to {archive.last}")
    return archived


def encode(archived: Sequence[Entry]) -> bytes:
    """The content of an archive of these entries."""
    chunks = []
    for entry in archived:
        value = entries.encode(entry)
        chunks += [_ENTRY_PREFIX.pack(entry.seq, len(value)), value]
    body = b"".join(chunks)
    return _PREFIX.pack(MAGIC, xxhash.xxh3_64_intdigest(body)) + body


def decode(content: bytes, name: str) -> list[Entry]:
    """The entries of an archive's content; Corrupt errors refer to it as `name`."""
    view = memoryview(content)
    magic_number.require(bytes(view[: len(MAGIC)]), MAGIC, name, "an archive")
    if len(view) < _PREFIX.size:
        raise Corrupt(f"{name} is truncated: {len(view)} bytes")
    if xxhash.xxh3_64_intdigest(view[_PREFIX.size :]) != _PREFIX.unpack_from(view)[1]:
        raise Corrupt(f"{name} does not match its checksum")
    archived, position = [], _PREFIX.size
    while position < len(view):
        seq, length = _ENTRY_PREFIX.unpack_from(view, position)
        position += _ENTRY_PREFIX.size
        value = bytes(view[position : position + length])
        archived.append(entries.decode(Item(name, entries.key(seq), value, 1)))
        position += length
    return archived
