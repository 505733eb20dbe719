"""Reads the rows of a damaged SQLite file: every leaf page of a table, whether the tree above it is intact or not.

SQLite gives up on a table at the first damaged page that it meets on the way. This reader does not walk the trees: it
looks at every page of the file, and decodes the cells of those that are leaves of tables, each cell for itself. Pages
on the free list hold deleted rows and are left out (see `sqlite_unused`), unless a tree contains them: then the list is
damaged. The format: https://www.sqlite.org/fileformat2.html.

A page whose type is none of SQLite's is tried as a leaf, since a single damaged byte may be the reason, and so is one
that says that it refers to other pages, but names pages that the file does not have; the caller accepts rows only if
their values have the shape of a row of a known table. Work is bounded: the overflow pages followed are at most four
times the pages of the file.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from afterglow.bulk.chroma_directory.sqlite_values import Value, exactly, record, signed, varint

_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100
LEAF, INTERIOR, INDEX_LEAF, INDEX_INTERIOR = 13, 5, 10, 2
_PAGE_SIZES = tuple(1 << power for power in range(9, 17))
_SAMPLE_PAGES = 256
_FEW_PAGES = 4
_NEARLY = 0.7
_OVERFLOW_FACTOR = 4
_SCHEMA_COLUMNS, _ROOT_COLUMN = 5, 3


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
        self.usable = self._page_bytes - (reserved if reserved <= 32 else 0)
        self.count = -(-size // self._page_bytes)
        self.overflow_pages: set[int] = set()
        """The overflow pages of the rows that were read so far."""
        self.trunk_pages: set[int] = set()
        """The free pages that list others, where they had rows."""
        self._free: set[int] | None = None
        self._in_trees: set[int] | None = None
        self._overflow_budget = _OVERFLOW_FACTOR * self.count + 16

    def rows(self, damage: PageDamage) -> Iterator[tuple[int, int, tuple[Value, ...]]]:
        """Page number, rowid and values of every row that can be decoded."""
        damage.pages = self.count
        free = self.free_pages()
        for number in range(1, self.count + 1):
            if number in free:
                continue
            page = self.page(number)
            start = first_byte(number)
            kind = page[start] if len(page) > start else 0
            if kind in (INDEX_LEAF, INDEX_INTERIOR, 0) or (kind == INTERIOR and self._has_children(page, start)):
                continue
            yield from self._cells(page, number, start, damage)

    def schema(self) -> Iterator[tuple[Value, ...]]:
        """The rows of `sqlite_master`, as far as its tree can be followed."""
        for number in sorted(self.tree(1)):
            page = self.page(number)
            start = first_byte(number)
            if len(page) > start and page[start] == LEAF:
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
            page, start = self.page(number), first_byte(number)
            if len(page) >= start + 12 and page[start] == INTERIOR:
                waiting += self._children(page, start)
        return seen

    def _children(self, page: bytes, start: int) -> list[int]:
        """The pages to which a page of at least 12 bytes refers."""
        (cells,) = struct.unpack_from(">H", page, start + 3)
        children = [struct.unpack_from(">I", page, start + 8)[0]]
        for place in range(start + 12, min(start + 12 + 2 * cells, len(page) - 1), 2):
            (offset,) = struct.unpack_from(">H", page, place)
            if offset + 4 <= len(page):
                children.append(struct.unpack_from(">I", page, offset)[0])
        return children

    def _has_children(self, page: bytes, start: int) -> bool:
        """Whether most pages to which it refers are there: one damaged reference does not make it a leaf."""
        if len(page) < start + 12:
            return False
        children = self._children(page, start)
        return 2 * sum(1 <= child <= self.count for child in children) >= len(children)

    def _cells(
        self, page: bytes, number: int, start: int, damage: PageDamage
    ) -> Iterator[tuple[int, int, tuple[Value, ...]]]:
        is_leaf = page[start] == LEAF
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
        length, position = varint(page, offset)
        rowid, position = varint(page, position)
        payload = self._payload(page, position, length)
        return signed(rowid), record(payload)

    def _payload(self, page: bytes, position: int, length: int) -> bytes:
        """The content of a cell, with that of its overflow pages. Raises ValueError."""
        usable = self.usable
        if not 0 < length <= self.count * self._page_bytes:
            raise ValueError("no length")
        local = local_bytes(length, usable)
        if local == length:
            return exactly(page[position : position + length], length)
        parts = [exactly(page[position : position + local], local)]
        (following,) = struct.unpack_from(">I", page, position + local)
        chain: list[int] = []
        content = b"".join([*parts, *self.overflow(following, length - local, chain)])
        self.overflow_pages.update(chain)
        return content

    def overflow(self, following: int, missing: int, chain: list[int]) -> Iterator[bytes]:
        """The content of a chain of overflow pages, whose numbers are added to `chain`. Raises ValueError."""
        while missing > 0:
            self._overflow_budget -= 1
            if not 2 <= following <= self.count or self._overflow_budget < 0:
                raise ValueError("an overflow page is missing")
            content = self.page(following)
            chain.append(following)
            part = content[4 : min(4 + missing, self.usable)]
            missing -= len(part)
            if len(content) < min(self.usable, 4 + missing):
                raise ValueError("an overflow page is cut")
            yield part
            (following,) = struct.unpack_from(">I", content)

    def free_pages(self) -> set[int]:
        """The pages of the free list that are in no tree, as far as the list can be followed."""
        if self._free is None:
            self._free = self._listed_as_free()
            self._free -= self.tree_pages() if self._free else set()
        return self._free

    def tree_pages(self) -> set[int]:
        """The pages of all tables, as far as their trees can be followed."""
        if self._in_trees is None:
            self._in_trees = {1}
            for values in self.schema():
                root = values[_ROOT_COLUMN] if len(values) == _SCHEMA_COLUMNS else None
                if type(root) is int:
                    self._in_trees |= self.tree(root)
        return self._in_trees

    def _listed_as_free(self) -> set[int]:
        free: set[int] = set()
        if not self._header.startswith(_MAGIC):
            return free
        declared, trunk = struct.unpack_from(">II", self._header, 28)
        last = max(self.count, declared)  # of a file that is cut, the list names pages that it had
        while 2 <= trunk <= self.count and trunk not in free:
            page = self.page(trunk)
            if len(page) < 8:
                break
            following, count = struct.unpack_from(">II", page)
            leaves = struct.unpack_from(f">{min(count, (len(page) - 8) // 4)}I", page, 8)
            if following > last or len(leaves) < count or not all(2 <= leaf <= last for leaf in leaves):
                break  # not a page of the list: one damaged number must not make pages of rows free
            free.update(leaves, [trunk])
            self.trunk_pages.add(trunk)
            trunk = following
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
        if len(head) < 8 or head[0] not in (LEAF, INTERIOR, INDEX_LEAF, INDEX_INTERIOR):
            return False
        cells, content = struct.unpack_from(">HH", head, 3)
        return bool(0 < cells < page_bytes // 4 and 8 + 2 * cells <= (content or 65536) <= page_bytes)

    def page(self, number: int) -> bytes:
        """The content of a page, shorter if the file is cut."""
        return self._read((number - 1) * self._page_bytes, self._page_bytes)

    def _read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length)


def open_pages(path: Path, file: IO[bytes]) -> SqlitePages:
    """The pages of an open file."""
    return SqlitePages(file, path.stat().st_size)


def first_byte(number: int) -> int:
    """Where the header of a page begins: the first page begins with the header of the file."""
    return _HEADER_BYTES if number == 1 else 0


def local_bytes(length: int, usable: int) -> int:
    """How many bytes of a row are on its leaf page; the others are on overflow pages."""
    if length <= usable - 35:
        return length
    least = (usable - 12) * 32 // 255 - 23
    local = least + (length - least) % (usable - 4)
    return local if local <= usable - 35 else least
