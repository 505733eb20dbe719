"""Reads `index_metadata.pickle`, which maps the ids of a collection to the labels of its HNSW files.

A pickle is a program; this reader executes none. It decodes the few instructions of which these files consist, strings,
integers and the stack's punctuation, and recognises the maps by their order: a string before an empty dictionary names
a map, in `id_to_label` a string and an integer follow each other, in `label_to_id` an integer and a string. Chroma up
to 0.6 writes an object of a Python class, later versions a dictionary; the sequence of strings and integers is the
same.

Where an instruction cannot be decoded, reading continues at the next one that looks like an entry. References to
earlier strings are no longer followed then, as their numbers are unknown.
"""

import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_FIELDS = ("dimensionality", "total_elements_added", "max_seq_id", "id_to_label", "label_to_id", "id_to_seq_id")
_MAX_ID_BYTES = 65536

# Instructions without a value, by their opcode: the number of argument bytes. https://docs.python.org/3/library/
# pickletools.html names them; here PROTO, FRAME, EMPTY_DICT, MARK, SETITEM, SETITEMS, BUILD, NEWOBJ, EMPTY_TUPLE,
# STACK_GLOBAL, NONE, NEWTRUE, NEWFALSE, EMPTY_LIST, TUPLE, REDUCE, STOP.
_PUNCTUATION = {
    0x80: 1, 0x95: 8, 0x7D: 0, 0x28: 0, 0x73: 0, 0x75: 0, 0x62: 0, 0x81: 0, 0x29: 0, 0x93: 0, 0x4E: 0, 0x88: 0,
    0x89: 0, 0x5D: 0, 0x74: 0, 0x52: 0, 0x2E: 0,
}  # fmt: skip
_EMPTY_DICT, _STOP = 0x7D, 0x2E
_MEMOIZE, _PUT, _LONG_PUT, _GET, _LONG_GET = 0x94, 0x71, 0x72, 0x68, 0x6A
_GLOBAL = 0x63
_INTEGERS = {0x4B: struct.Struct("<B"), 0x4D: struct.Struct("<H"), 0x4A: struct.Struct("<i")}
_LONG1 = 0x8A
_STRINGS = {0x8C: struct.Struct("<B"), 0x58: struct.Struct("<I"), 0x8D: struct.Struct("<Q")}
_ENTRY = re.compile(rb"(?:\x8c[\x01-\xff]|X[\x01-\xff][\x00-\xff]\x00\x00)", re.DOTALL)


@dataclass(slots=True)
class LabelMap:
    """The scalar fields of the file, set when `entries` is exhausted. `damage`: the number of unreadable places."""

    dimension: int | None = None
    max_seq: int | None = None
    damage: int = 0
    is_complete: bool = False
    scalars: dict[str, int] = field(default_factory=dict)


class _Undecodable(Exception):
    """No instruction of these files."""


def entries(path: Path, into: LabelMap) -> Iterator[tuple[str, int]]:
    """Id and label of each entry, of both maps: a sound file yields every pair twice. Raises OSError."""
    if not path.stat().st_size:
        into.damage += 1
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield from _Reader(content, into).entries()
    into.dimension = into.scalars.get("dimensionality")
    into.max_seq = into.scalars.get("max_seq_id")


class _Reader:
    def __init__(self, content: mmap.mmap, into: LabelMap) -> None:
        self._content = content
        self._size = len(content)
        self._into = into
        self._position = 0
        self._memo: dict[int, str | None] | None = {}
        self._last: str | None = None

    def entries(self) -> Iterator[tuple[str, int]]:
        name: str | None = None  # of the map that is being read
        text: str | None = None
        number: int | None = None
        has_map = False
        while self._position < self._size:
            try:
                opcode, value = self._next()
                if self._position > self._size:
                    raise _Undecodable
            except (_Undecodable, struct.error, UnicodeDecodeError):
                text = number = None
                self._resume()
                continue
            if opcode == _EMPTY_DICT and text in _FIELDS:
                has_map = True
                name, text, number = text, None, None
            elif opcode == _STOP:
                self._into.damage += not has_map
                self._into.is_complete = not self._into.damage
                return
            elif isinstance(value, str):
                if name == "label_to_id" and number is not None:
                    yield value, number
                    text = number = None
                else:
                    text, number = value, None
            elif isinstance(value, int):
                if text is not None and name == "id_to_label":
                    yield text, value
                elif text is not None and name is None:
                    self._into.scalars[text] = value
                text, number = None, value
        self._into.damage += 1

    def _next(self) -> tuple[int, str | int | None]:
        """The next instruction: its opcode, and its value if it has one."""
        content, start = self._content, self._position
        opcode = content[start]
        if opcode in _STRINGS:
            size = _STRINGS[opcode]
            (length,) = size.unpack_from(content, start + 1)
            begin = start + 1 + size.size
            if length > _MAX_ID_BYTES or begin + length > self._size:
                raise _Undecodable
            self._last = content[begin : begin + length].decode()
            self._position = begin + length
            return opcode, self._last
        if opcode in _INTEGERS:
            integer = _INTEGERS[opcode]
            self._position = start + 1 + integer.size
            return opcode, int(integer.unpack_from(content, start + 1)[0])
        if opcode == _LONG1:
            end = start + 2 + content[start + 1 : start + 2][0]
            self._position = end
            return opcode, int.from_bytes(content[start + 2 : end], "little", signed=True)
        if opcode in (_MEMOIZE, _PUT, _LONG_PUT):
            self._remember(opcode, start)
            return opcode, None
        if opcode in (_GET, _LONG_GET):
            width = 1 if opcode == _GET else 4
            index = int.from_bytes(content[start + 1 : start + 1 + width], "little")
            self._position = start + 1 + width
            return opcode, None if self._memo is None else self._memo.get(index)
        if opcode == _GLOBAL:
            end = content.find(b"\n", content.find(b"\n", start) + 1)
            if not start < end < start + 512:
                raise _Undecodable
            self._last, self._position = None, end + 1
            return opcode, None
        if opcode not in _PUNCTUATION:
            raise _Undecodable
        self._last, self._position = None, start + 1 + _PUNCTUATION[opcode]
        return opcode, None

    def _remember(self, opcode: int, start: int) -> None:
        width = {_MEMOIZE: 0, _PUT: 1, _LONG_PUT: 4}[opcode]
        if self._memo is not None:
            index = int.from_bytes(self._content[start + 1 : start + 1 + width], "little") if width else len(self._memo)
            self._memo[index] = self._last
        self._last, self._position = None, start + 1 + width

    def _resume(self) -> None:
        """Continue at the next place that looks like a string; what references mean is unknown from here on."""
        self._into.damage += 1
        self._memo = None
        found = _ENTRY.search(self._content, self._position + 1)
        self._position = self._size if found is None else found.start()
