"""Finds deleted operations of `embeddings_queue` among the bytes that SQLite does not use.

Chroma from 0.5 on deletes operations that its files contain. If the files are lost, or another process replaced them,
the vectors may be left here. A row is found by its header: the types of the columns, of which the time is a text of 19
characters, followed by that time. If the row became a free block, its first four bytes are overwritten: its number and
the length of its header; the rest is whole. If later rows have overwritten its end, its metadata is lost.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson

from afterglow.bulk.chroma_directory.row_shapes import is_uuid
from afterglow.bulk.chroma_directory.sqlite_pages import SqlitePages, local_bytes
from afterglow.bulk.chroma_directory.sqlite_unused import Region, regions
from afterglow.bulk.chroma_directory.sqlite_values import content_bytes, signed, varint

# Number (NULL), time, operation, topic, id, vector, encoding (NULL, INT32, FLOAT32), metadata.
_TYPES = re.compile(
    rb"\x33[\x01\x08\x09][\x80-\xff]?[\x00-\x7f][\x80-\xff]{0,2}[\x00-\x7f][\x80-\xff]{0,4}[\x00-\x7f]"
    rb"[\x00\x17\x1b][\x80-\xff]{0,4}[\x00-\x7f](?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)"
)
_TOPIC = "persistent://"
_UUID_LENGTH = 36
_COLUMNS = 7
_MAX_OPERATION = 3
_MAX_NUMBER_BYTES = 9


@dataclass(frozen=True, slots=True)
class DeletedOperation:
    """A deleted row of the queue. `seq`: None if its number is overwritten; `created`: in seconds, as text."""

    collection: str
    id: str
    seq: int | None
    created: str
    kind: int
    vector: bytes | None
    encoding: str | None
    metadata: str | None
    is_damaged: bool
    """Whether its page is damaged, so that it may not have been deleted."""

    @property
    def dimension(self) -> int | None:
        """The length of its vector; None if it has none, or one that is no vector."""
        if self.vector is None or len(self.vector) % 4:
            return None
        is_whole = self.encoding == "INT32" or bool(np.isfinite(np.frombuffer(self.vector, "<f4")).all())
        return len(self.vector) // 4 if is_whole else None


def find(pages: SqlitePages, *, is_damaged: bool) -> Iterator[DeletedOperation]:
    """Every operation whose vector is whole, some of them several times."""
    for region in regions(pages, is_damaged=is_damaged):
        for match in _TYPES.finditer(region.content):
            try:
                found = _decode(pages, region, match)
            except (IndexError, ValueError):
                continue
            if found is not None:
                yield found


def _decode(pages: SqlitePages, region: Region, match: re.Match[bytes]) -> DeletedOperation | None:
    """The operation with these types; None if it is none. Raises IndexError, ValueError."""
    types = []
    position = match.start()
    while position < match.end():
        kind, position = varint(region.content, position)
        types.append(kind)
    if len(types) != _COLUMNS:
        return None
    header = 2 + match.end() - match.start()  # its own length, and the type of the number
    sizes = [content_bytes(kind) for kind in types]
    length = header + sum(sizes)
    local = local_bytes(length, pages.usable)
    payload = region.content[match.end() : match.end() + local - header]
    if local < length and len(payload) == local - header:
        payload += _overflow(pages, region, match.end() + local - header, length - local)
    values = []
    place = 0
    for size in sizes:
        values.append(payload[place : place + size])
        place += size
    end = place - sizes[-1]
    text = _metadata(values[-1]) if types[6] else None
    if len(payload) < end or (end > local - header and types[6] and text is None):
        return None  # rows that came later have overwritten more than its metadata
    created, operation, topic, name, vector, encoding, _ = values
    kind = types[1] - 8 if types[1] in (8, 9) else operation[0]
    texts = [types[2], types[3], *([types[6]] if types[6] else [])]
    if not topic.startswith(_TOPIC.encode()) or kind > _MAX_OPERATION or not all(type_ % 2 for type_ in texts):
        return None
    collection = topic.decode()[-_UUID_LENGTH:]
    if (types[4] and types[4] % 2) or not is_uuid(collection):
        return None
    return DeletedOperation(
        collection,
        name.decode(),
        _number(region.content, match.start() - 2, header, length),
        created.decode(),
        kind,
        vector if types[4] else None,
        encoding.decode() if types[5] else None,
        text,
        region.is_damaged,
    )


def _metadata(content: bytes) -> str | None:
    """The metadata, None if later rows have overwritten some of it."""
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return content.decode()


def _overflow(pages: SqlitePages, region: Region, position: int, missing: int) -> bytes:
    """The content of the overflow pages of a row; none if one of them is used for something else by now."""
    following = int.from_bytes(region.content[position : position + 4], "big")
    chain: list[int] = []
    try:
        content = b"".join(pages.overflow(following, missing, chain))
    except (ValueError, struct.error):
        return b""
    is_whole = region.is_damaged or pages.free_pages().issuperset(chain)
    return content if is_whole and pages.trunk_pages.isdisjoint(chain) else b""


def _number(content: bytes, start: int, header: int, length: int) -> int | None:
    """The number of a row, which comes before it, after its length; None if they are overwritten."""
    if start < 2 or content[start : start + 2] != bytes([header, 0]):
        return None
    prefix = _encode(length)
    for size in range(1, min(_MAX_NUMBER_BYTES, start - len(prefix)) + 1):
        before = start - size - len(prefix)
        if content[before : start - size] == prefix:
            number, stop = varint(content, start - size)
            if stop == start:
                return signed(number)
    return None


def _encode(value: int) -> bytes:
    """A variable-length integer below 2⁵⁶."""
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(0x80 | value & 0x7F)
    return bytes(reversed(parts))
