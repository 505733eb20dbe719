"""The archive: entries that were folded, and are stubs in the table by now, kept so that the past can be read.

A fold writes those that it covers to one object before its manifest. The object is true whoever publishes: it holds the
entries `first` … `last` of the log and nothing else, so two that overlap say the same. Batches too large for the table
lie where they lay (`log.entry.payload_key`); the archive names them.

Key: ``<collection>/archive/<last, 20 digits>-<first>-<begins>-<ends>-<nonce>.log``, where `begins` and `ends` are the
times of the log before the first and at the last entry. On disk, integers little-endian::

    "AGA1" · u64 xxh3-64 of all that follows · for each entry: u64 number · u32 length · its value (`log.entry`)
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import xxhash

from afterglow.errors import Corrupt
from afterglow.log import entry as entries
from afterglow.log.entry import Entry
from afterglow.storage.ports import Item, Objects, Stores

MAGIC = b"AGA1"
_PREFIX = struct.Struct("<4sQ")
_EACH = struct.Struct("<QI")


@dataclass(frozen=True, slots=True)
class Archive:
    """What a key says of an object: the entries in it, and the times (Unix ms) of the log before and after them."""

    key: str
    first: int
    last: int
    start_time: int
    end_time: int


def prefix(collection_id: UUID) -> str:
    """Under which all of a collection's archives are stored."""
    return f"{collection_id}/archive/"


def store(stores: Stores, collection_id: UUID, clock: int, kept: Sequence[Entry]) -> str:
    """Write these entries, at least one, that follow each other; `clock` is the time before them. The key.

    Raises Unavailable, StorageFull.
    """
    ends = max(clock, *(each.appended_at for each in kept))
    span = f"{kept[-1].seq:020}-{kept[0].seq}-{clock}-{ends}"
    key = f"{prefix(collection_id)}{span}-{stores.system.nonce()}.log"
    stores.objects.put(key, encode(kept))
    return key


def parse_key(key: str) -> Archive:
    """What an archive's key says. Raises Corrupt."""
    try:
        last, first, begins, ends, _ = key.rpartition("/")[2].split("-")
        return Archive(key, int(first), int(last), int(begins), int(ends))
    except ValueError as error:
        raise Corrupt(f"{key} is not the key of an archive") from error


def list_archives(objects: Objects, collection_id: UUID) -> Iterator[Archive]:
    """The collection's archives, ascending by their last entry."""
    return (parse_key(info.key) for info in objects.list(prefix(collection_id)))


def load(objects: Objects, archive: Archive) -> list[Entry]:
    """The entries of an archive. Raises ObjectMissing, Corrupt, Unavailable."""
    found = decode(objects.get(archive.key), archive.key)
    if [each.seq for each in found] != list(range(archive.first, archive.last + 1)):
        raise Corrupt(f"{archive.key} does not hold the entries {archive.first} to {archive.last}")
    return found


def encode(kept: Sequence[Entry]) -> bytes:
    """The content of an archive."""
    parts = []
    for each in kept:
        value = entries.encode(each)
        parts += [_EACH.pack(each.seq, len(value)), value]
    body = b"".join(parts)
    return _PREFIX.pack(MAGIC, xxhash.xxh3_64_intdigest(body)) + body


def decode(content: bytes, name: str) -> list[Entry]:
    """The entries of an archive's content; `name` is what a Corrupt error calls it."""
    view = memoryview(content)
    if len(view) < _PREFIX.size or _PREFIX.unpack_from(view)[0] != MAGIC:
        raise Corrupt(f"{name} is not an archive of a known version")
    if xxhash.xxh3_64_intdigest(view[_PREFIX.size :]) != _PREFIX.unpack_from(view)[1]:
        raise Corrupt(f"{name} does not match its checksum")
    found, position = [], _PREFIX.size
    while position < len(view):
        seq, length = _EACH.unpack_from(view, position)
        position += _EACH.size
        value = bytes(view[position : position + length])
        found.append(entries.decode(Item(name, entries.key(seq), value, 1)))
        position += length
    return found
