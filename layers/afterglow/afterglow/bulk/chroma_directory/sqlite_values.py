"""Decodes the rows of SQLite's file format: https://www.sqlite.org/fileformat2.html, section 2.1."""

import struct
from typing import Any

_INTEGER_BYTES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}

Value = int | float | str | bytes | None


def exactly(content: bytes, length: int) -> bytes:
    """The content if it has this length. Raises ValueError."""
    if len(content) < length:
        raise ValueError("the cell is cut")
    return content


def varint(content: bytes, position: int) -> tuple[int, int]:
    """A variable-length integer and the position after it. Raises IndexError."""
    value = 0
    for _ in range(8):
        byte = content[position]
        position += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, position
    return value << 8 | content[position], position + 1


def signed(value: int) -> int:
    """The same 64 bits with a sign."""
    return value - (1 << 64) if value >= 1 << 63 else value


def record(payload: bytes) -> tuple[Value, ...]:
    """The values of a record. Raises IndexError, ValueError."""
    header, position = varint(payload, 0)
    if not position <= header <= len(payload):
        raise ValueError("no header of a record")
    types = []
    while position < header:
        kind, position = varint(payload, position)
        types.append(kind)
    values: list[Value] = []
    position = header
    for kind in types:
        length = content_bytes(kind)
        content = exactly(payload[position : position + length], length)
        values.append(_value(kind, content))
        position += length
    if position != len(payload):
        raise ValueError("lengths that do not add up")
    return tuple(values)


def content_bytes(kind: int) -> int:
    """The number of bytes of a value, by its serial type. Raises ValueError."""
    if kind in (10, 11):
        raise ValueError("a type that no file has")
    return _INTEGER_BYTES[kind] if kind < 10 else (kind - 12) // 2


def _value(kind: int, content: bytes) -> Any:
    if kind == 0:
        return None
    if kind in (8, 9):
        return kind - 8
    if kind == 7:
        return struct.unpack(">d", content)[0]
    if kind < 7:
        return int.from_bytes(content, "big", signed=True)
    return content.decode(errors="replace") if kind % 2 else content
