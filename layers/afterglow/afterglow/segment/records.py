"""Records: id, document, uri and metadata of one row next to each other, so that a cold reader gets them by one range.

The file `records` holds the rows in insertion order, so that a page is one range, without a table: the lists and the
file `places` have the bounds and the checksum of each (see `segment.lists`, `segment.places`). A record is four lengths
u4 (0xFFFFFFFF: the row has no such string), then the strings in UTF-8.
"""

import struct
from collections.abc import Iterator, Sequence

import numpy as np
import xxhash
from numpy.typing import NDArray

from afterglow.columns.gather import GatheredStrings

_LENGTHS = struct.Struct("<4I")
_ABSENT = 0xFFFFFFFF
_CHUNK_BYTES = 1 << 20

Strings = tuple[bytes | None, bytes | None, bytes | None, bytes | None]
"""Id, document, uri, metadata."""


def offsets(columns: Sequence[GatheredStrings]) -> NDArray[np.int64]:
    """The bounds of the records of the rows of four columns, int64 (n + 1)."""
    lengths = sum(np.diff(column.offsets.view(np.int64)) - 1 for column in columns)
    result = np.zeros(len(columns[0]) + 1, dtype=np.int64)
    np.cumsum(np.asarray(lengths) + _LENGTHS.size, out=result[1:])
    return result


def chunks(
    columns: Sequence[GatheredStrings], checksums: NDArray[np.uint64], chunk_bytes: int
) -> Iterator[NDArray[np.uint8]]:
    """The records of four columns, some at a time; fills in `checksums`, the xxh3-64 of each."""
    presence = [column.validity for column in columns]
    rows = zip(*(column.iter_rows(chunk_bytes) for column in columns), strict=True)
    chunk: list[bytes] = []
    size = 0
    for row, strings in enumerate(rows):
        lengths = [
            len(text) if valid is None or valid[row] else _ABSENT for text, valid in zip(strings, presence, strict=True)
        ]
        record = _LENGTHS.pack(*lengths) + b"".join(strings)
        checksums[row] = xxhash.xxh3_64_intdigest(record)
        chunk.append(record)
        size += len(record)
        if size >= _CHUNK_BYTES:
            yield np.frombuffer(b"".join(chunk), dtype=np.uint8)
            chunk, size = [], 0
    yield np.frombuffer(b"".join(chunk), dtype=np.uint8)


def decode(record: bytes) -> Strings:
    """The strings of a verified record."""
    position = _LENGTHS.size
    strings: list[bytes | None] = []
    for length in _LENGTHS.unpack_from(record):
        if length == _ABSENT:
            strings.append(None)
            continue
        strings.append(record[position : position + length])
        position += length
    return strings[0], strings[1], strings[2], strings[3]
