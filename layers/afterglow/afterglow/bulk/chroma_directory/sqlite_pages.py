"""Reads the rows of a damaged SQLite file: every leaf page of a table, whether the tree above it is intact or not.

SQLite gives up on a table at the first damaged page that it meets on the way. This reader does not walk the trees: it
looks at every page of the file, and decodes the cells of those that are leaves of tables, each cell for itself. Pages
on the free list hold deleted rows and are left out. The format: https://www.sqlite.org/fileformat2.html.

A page whose type is none of SQLite's is tried as a leaf, since a single damaged byte may be the reason; the caller
accepts rows only if their values have the shape of a row of a known table. Work is bounded: the overflow pages followed
are at most four times the pages of the file.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100
_LEAF, _INTERIOR, _INDEX_LEAF, _INDEX_INTERIOR = 13, 5, 10, 2
_PAGE_SIZES = tuple(1 << power for power in range(9, 17))
_SAMPLE_PAGES = 256
_FEW_PAGES = 4
_NEARLY = 0.7
_OVERFLOW_FACTOR = 4
_MAX_CHILDREN = 65536
_INTEGER_BYTES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}

Value = int | float | str | bytes | None


@dataclass(slots=True)
class PageDamage:
    """What could not be read; page numbers start at 1."""

    pages: int = 0
    damaged_pages: list[int] = field(default_factory=list)
    damaged_cells: int = 0


class SqlitePages:
    """The pages of one file."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._header = self._read(0, _HEADER_BYTES)
        self._page_bytes = self._find_page_bytes(size)
        reserved = self._header[20] if self._header.startswith(_MAGIC) else 0
        self._usable = self._page_bytes - (reserved if reserved <= 32 else 0)
        self.count = -(-size // self._page_bytes)
        self._overflow_budget = _OVERFLOW_FACTOR * self.count + 16

    def rows(self, damage: PageDamage) -> Iterator[tuple[int, int, tuple[Value, ...]]]:
        """Page number, rowid and values of every row that can be decoded."""
        damage.pages = self.count
        free = self._free_pages()
        for number in range(1, self.count + 1):
            if number in free:
                continue
            page = self._page(number)
            start = _HEADER_BYTES if number == 1 else 0
            kind = page[start] if len(page) > start else 0
            if kind in (_INTERIOR, _INDEX_LEAF, _INDEX_INTERIOR, 0):
                continue
            yield from self._cells(page, number, start, damage)

    def schema(self) -> Iterator[tuple[Value, ...]]:
        """The rows of `sqlite_master`, as far as its tree can be followed."""
        for number in sorted(self.tree(1)):
            page = self._page(number)
            start = _HEADER_BYTES if number == 1 else 0
            if len(page) > start and page[start] == _LEAF:
                for _, _, values in self._cells(page, number, start, PageDamage()):
                    yield values

    def tree(self, root: int) -> set[int]:
        """The pages of a table's tree, as far as it can be followed."""
        seen: set[int] = set()
        waiting = [root]
        while waiting:
            number = waiting.pop()
            if number in seen or not 1 <= number <= self.count:
                continue
            seen.add(number)
            page = self._page(number)
            start = _HEADER_BYTES if number == 1 else 0
            if len(page) < start + 12 or page[start] != _INTERIOR:
                continue
            (cells,) = struct.unpack_from(">H", page, start + 3)
            (right,) = struct.unpack_from(">I", page, start + 8)
            waiting.append(right)
            for index in range(min(cells, _MAX_CHILDREN)):
                place = start + 12 + 2 * index
                if place + 2 > len(page):
                    break
                (offset,) = struct.unpack_from(">H", page, place)
                if offset + 4 <= len(page):
                    waiting.append(struct.unpack_from(">I", page, offset)[0])
        return seen

    def _cells(
        self, page: bytes, number: int, start: int, damage: PageDamage
    ) -> Iterator[tuple[int, int, tuple[Value, ...]]]:
        is_leaf = page[start] == _LEAF
        if len(page) < start + 8:
            damage.damaged_pages.append(number)
            return
        (cells,) = struct.unpack_from(">H", page, start + 3)
        first = start + 8
        broken = 0
        cells = min(cells, (len(page) - first) // 2)
        for index in range(cells):
            (offset,) = struct.unpack_from(">H", page, first + 2 * index)
            try:
                yield number, *self._cell(page, offset, first + 2 * cells)
            except (IndexError, ValueError, struct.error):
                broken += 1
        if broken or not is_leaf or len(page) < self._page_bytes:
            damage.damaged_pages.append(number)
            damage.damaged_cells += broken if is_leaf else 0

    def _cell(self, page: bytes, offset: int, lowest: int) -> tuple[int, tuple[Value, ...]]:
        """Rowid and values of a cell. Raises IndexError, ValueError."""
        if offset < lowest:
            raise ValueError("a cell within the header")
        length, position = _varint(page, offset)
        rowid, position = _varint(page, position)
        payload = self._payload(page, position, length)
        return _signed(rowid), _record(payload)

    def _payload(self, page: bytes, position: int, length: int) -> bytes:
        """The content of a cell, with that of its overflow pages. Raises ValueError."""
        usable = self._usable
        if not 0 < length <= self.count * self._page_bytes:
            raise ValueError("no length")
        if length <= usable - 35:
            return _exactly(page[position : position + length], length)
        least = (usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (usable - 4)
        if local > usable - 35:
            local = least
        parts = [_exactly(page[position : position + local], local)]
        (following,) = struct.unpack_from(">I", page, position + local)
        missing = length - local
        while missing > 0:
            self._overflow_budget -= 1
            if not 2 <= following <= self.count or self._overflow_budget < 0:
                raise ValueError("an overflow page is missing")
            content = self._page(following)
            parts.append(content[4 : min(4 + missing, usable)])
            missing -= len(parts[-1])
            if len(content) < min(usable, 4 + missing):
                raise ValueError("an overflow page is cut")
            (following,) = struct.unpack_from(">I", content)
        return b"".join(parts)

    def _free_pages(self) -> set[int]:
        """The pages of the free list, as far as it can be followed."""
        free: set[int] = set()
        if not self._header.startswith(_MAGIC):
            return free
        (trunk,) = struct.unpack_from(">I", self._header, 32)
        while 2 <= trunk <= self.count and trunk not in free:
            free.add(trunk)
            page = self._page(trunk)
            if len(page) < 8:
                break
            trunk, leaves = struct.unpack_from(">II", page)
            leaves = min(leaves, (len(page) - 8) // 4)
            free.update(struct.unpack_from(f">{leaves}I", page, 8))
        return free

    def _find_page_bytes(self, size: int) -> int:
        """The size of a page by the header; if it is damaged, the smallest one with nearly the most pages of a tree.

        Half of the true size finds the same pages among twice as many, double the size half of them among half as many.
        """
        (declared,) = struct.unpack_from(">H", self._header.ljust(_HEADER_BYTES, b"\0"), 16)
        declared = 65536 if declared == 1 else declared
        if self._header.startswith(_MAGIC) and declared in _PAGE_SIZES:
            return declared
        shares = {}
        for candidate in _PAGE_SIZES:
            pages = range(1, min(size // candidate, _SAMPLE_PAGES))
            known = sum(self._is_tree_page(number * candidate, candidate) for number in pages)
            shares[candidate] = known / (len(pages) + _FEW_PAGES)
        best = max(shares.values())
        return next(candidate for candidate, share in shares.items() if share >= _NEARLY * best) if best else 4096

    def _is_tree_page(self, offset: int, page_bytes: int) -> bool:
        head = self._read(offset, 8)
        if len(head) < 8 or head[0] not in (_LEAF, _INTERIOR, _INDEX_LEAF, _INDEX_INTERIOR):
            return False
        cells, content = struct.unpack_from(">HH", head, 3)
        return bool(0 < cells < page_bytes // 4 and 8 + 2 * cells <= (content or 65536) <= page_bytes)

    def _page(self, number: int) -> bytes:
        return self._read((number - 1) * self._page_bytes, self._page_bytes)

    def _read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length)


def open_pages(path: Path, file: IO[bytes]) -> SqlitePages:
    """The pages of an open file."""
    return SqlitePages(file, path.stat().st_size)


def _exactly(content: bytes, length: int) -> bytes:
    if len(content) < length:
        raise ValueError("the cell is cut")
    return content


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """A variable-length integer and the position after it. Raises IndexError."""
    value = 0
    for _ in range(8):
        byte = content[position]
        position += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, position
    return value << 8 | content[position], position + 1


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _record(payload: bytes) -> tuple[Value, ...]:
    """The values of a record. Raises IndexError, ValueError."""
    header, position = _varint(payload, 0)
    if not position <= header <= len(payload):
        raise ValueError("no header of a record")
    types = []
    while position < header:
        kind, position = _varint(payload, position)
        types.append(kind)
    values: list[Value] = []
    position = header
    for kind in types:
        length = _INTEGER_BYTES[kind] if kind < 10 else (kind - 12) // 2
        if kind in (10, 11):
            raise ValueError("a type that no file has")
        content = _exactly(payload[position : position + length], length)
        values.append(_value(kind, content))
        position += length
    if position != len(payload):
        raise ValueError("lengths that do not add up")
    return tuple(values)


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
