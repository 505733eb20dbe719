"""The payload of a log entry: the batches of one append, which apply in order, all of them or none.

One batch is stored as its frame (`log.batch`). Several, the operations of a transaction, are stored as::

    "AGT1" · u64 xxh3-64 of all that follows · for each batch: u64 length · its frame

All integers are little-endian.
"""

import struct
from collections.abc import Sequence

import xxhash

from afterglow.errors import Corrupt
from afterglow.log import batch as frames
from afterglow.log.batch import Batch
from afterglow.storage import magic as magic_number

MAGIC = b"AGT1"
_PREFIX = struct.Struct("<4sQ")
_LENGTH = struct.Struct("<Q")


def encode(batches: Sequence[Batch]) -> bytes:
    """Encode the batches of one entry, at least one."""
    if len(batches) == 1:
        return frames.encode(batches[0])
    chunks = []
    for batch in batches:
        frame = frames.encode(batch)
        chunks += [_LENGTH.pack(len(frame)), frame]
    body = b"".join(chunks)
    return _PREFIX.pack(MAGIC, xxhash.xxh3_64_intdigest(body)) + body


def decode(payload: bytes | memoryview, name: str) -> tuple[Batch, ...]:
    """Decode a payload. Raises Corrupt, which refers to the payload as `name`."""
    view = memoryview(payload)
    if view[: len(MAGIC) - 1] != MAGIC[:-1]:
        return (frames.decode(view, name),)
    magic_number.require(bytes(view[: len(MAGIC)]), MAGIC, name, "a log entry")
    if len(view) < _PREFIX.size or xxhash.xxh3_64_intdigest(view[_PREFIX.size :]) != _PREFIX.unpack_from(view)[1]:
        raise Corrupt(f"{name} does not match its checksum")
    batches, position = [], _PREFIX.size
    while position < len(view):
        (length,) = _LENGTH.unpack_from(view, position)
        position += _LENGTH.size
        batches.append(frames.decode(view[position : position + length], name))
        position += length
    return tuple(batches)
