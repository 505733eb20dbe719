"""An index of one archive (`log.archive`): where its entries are, for readers that take some of them at a time.

Building it reads the object once, piece by piece, and compares its checksum. The index holds a checksum of each entry,
so a range that is read later is verified too.
"""

import struct
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

from afterglow.errors import Corrupt
from afterglow.log import entry as entries
from afterglow.log.archive import MAGIC, Archive
from afterglow.log.entry import Entry
from afterglow.storage import magic as magic_number
from afterglow.storage.ports import Item, ObjectNotFound, Objects

_PREFIX = struct.Struct("<4sQ")
_ENTRY_PREFIX = struct.Struct("<QI")
_PIECE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ArchiveIndex:
    """The values of n entries: `offsets` int64 (n + 1,) of their prefixes and the end, `checksums` uint64 (n,)."""

    archive: Archive
    offsets: NDArray[np.int64]
    checksums: NDArray[np.uint64]


def build(objects: Objects, archive: Archive) -> ArchiveIndex:
    """Read the archive, whose `size` is known. Raises ObjectNotFound, Corrupt, Unavailable."""
    digest = xxhash.xxh3_64()
    expected: int | None = None
    offsets, checksums, rest, position = [_PREFIX.size], [], b"", 0
    while position < archive.size:
        piece = objects.get(archive.key, position, _PIECE_BYTES)
        if not piece:
            break
        position += len(piece)
        rest += piece
        if expected is None:
            magic_number.require(rest[: len(MAGIC)], MAGIC, archive.key, "an archive")
            if len(rest) < _PREFIX.size:
                raise Corrupt(f"{archive.key} is truncated: {len(rest)} bytes")
            expected = int(_PREFIX.unpack_from(rest)[1])
            rest = rest[_PREFIX.size :]
            digest.update(rest)
        else:
            digest.update(piece)
        view, start = memoryview(rest), 0
        while len(view) - start >= _ENTRY_PREFIX.size:
            end = start + _ENTRY_PREFIX.size + _ENTRY_PREFIX.unpack_from(view, start)[1]
            if end > len(view):
                break
            offsets.append(offsets[-1] + end - start)
            checksums.append(xxhash.xxh3_64_intdigest(view[start:end]))
            start = end
        rest = rest[start:]
    if digest.intdigest() != expected or rest:
        raise Corrupt(f"{archive.key} does not match its checksum")
    if len(checksums) != archive.last - archive.first + 1:
        raise Corrupt(f"{archive.key} does not hold the entries {archive.first} to {archive.last}")
    return ArchiveIndex(archive, np.array(offsets, dtype=np.int64), np.array(checksums, dtype=np.uint64))


def read(objects: Objects, index: ArchiveIndex, first: int, max_bytes: int) -> list[Entry]:
    """The entries from number `first` on, as many as `max_bytes` hold and at least one.

    Raises ObjectNotFound, Corrupt, Unavailable.
    """
    offsets, number = index.offsets, first - index.archive.first
    end = int(np.searchsorted(offsets, offsets[number] + max_bytes, side="right")) - 1
    end = min(max(end, number + 1), len(index.checksums))
    start = int(offsets[number])
    content = memoryview(objects.get(index.archive.key, start, int(offsets[end]) - start))
    if not content:
        raise ObjectNotFound(f"object {index.archive.key} does not exist")
    found = []
    for row in range(number, end):
        value = content[int(offsets[row]) - start : int(offsets[row + 1]) - start]
        if xxhash.xxh3_64_intdigest(value) != int(index.checksums[row]):
            raise Corrupt(f"{index.archive.key} does not match its checksum")
        seq = index.archive.first + row
        found.append(entries.decode(Item(index.archive.key, entries.key(seq), bytes(value[_ENTRY_PREFIX.size :]), 1)))
    return found
