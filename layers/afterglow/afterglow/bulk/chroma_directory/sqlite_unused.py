"""The bytes of a SQLite file that its trees do not use, where deleted rows remain until others overwrite them.

SQLite does not erase a row that it deletes, unless it was built to do so (`secure_delete`, as in Debian's packages): a
page without rows goes on the free list; the bytes of a row become a free block of its page, whose first four bytes
link it to the next one; rows that were moved, or that an earlier use of the page left, are between the list of cells
and the cells. Other pages are returned as a whole: leaves that are in no tree, overflow pages, whose end may be unused,
and damaged ones, whose rows may be there without the list that leads to them.
https://www.sqlite.org/fileformat2.html, sections 1.5 and 1.6.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from afterglow.bulk.chroma_directory.sqlite_pages import (
    INDEX_INTERIOR,
    INDEX_LEAF,
    INTERIOR,
    LEAF,
    SqlitePages,
    first_byte,
)

_LINK = 4


_CELL_LISTS = {LEAF: 8, INDEX_LEAF: 8, INTERIOR: 12, INDEX_INTERIOR: 12}
"""Where the list of cells begins, by the type of the page."""


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes of a page. `is_damaged`: they may contain rows that were not deleted."""

    content: bytes
    is_damaged: bool = False


def regions(pages: SqlitePages, *, is_damaged: bool) -> Iterator[Region]:
    """The unused bytes. `is_damaged`: whether the file is, so that pages that cannot be read may contain rows."""
    free, in_trees = pages.free_pages(), pages.tree_pages()
    for number in range(1, pages.count + 1):
        page, start = pages.page(number), first_byte(number)
        is_lost = number in free or (number not in in_trees and page[start : start + 1] == bytes([LEAF]))
        parts = None if is_lost else _unused(page, start)
        if parts is None:
            yield Region(page, is_damaged=is_damaged and number not in free and number not in pages.overflow_pages)
        else:
            yield from map(Region, parts)


def _unused(page: bytes, start: int) -> list[bytes] | None:
    """The bytes of a page of a tree that no cell has; None if its header is damaged, or if it is another page."""
    cell_list = _CELL_LISTS.get(page[start]) if len(page) >= start + 12 else None
    if cell_list is None:
        return None
    block, cells, content = struct.unpack_from(">HHH", page, start + 1)
    first = start + cell_list + 2 * cells
    content = content or 65536
    if not first <= content <= len(page):
        return None
    offsets = struct.unpack_from(f">{cells}H", page, start + cell_list)
    if offsets and not content <= min(offsets) <= max(offsets) <= len(page) - _LINK:
        return None
    parts = [page[first:content]]
    while block:
        if not content <= block <= len(page) - _LINK:
            return None
        following, size = struct.unpack_from(">HH", page, block)
        if size < _LINK or block + size > len(page) or 0 < following < block + size:
            return None
        parts.append(page[block : block + size])
        block = following
    return parts
