"""The inverted lists of a clustered segment, read by ranges: a query reads the lists of its own dimensions.

First the tables of all lists of a key are read (20 bytes for each dimension), then the lists themselves.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from afterglow.errors import Corrupt
from afterglow.segment import postings
from afterglow.segment.array_file import RESTORE_HINT
from afterglow.segment.block_file import BlockFile, Slices
from afterglow.segment.postings import Dimensions, PostingList
from afterglow.segment.rounds import Steps

_TABLES = ("dimensions", "starts", "max_value", "min_value")


class RangedPostings:
    """The inverted lists of the column `number` of the file `postings`."""

    def __init__(self, file: BlockFile, number: int) -> None:
        self._file = file
        self._number = number

    def lists(self, dimensions: Dimensions) -> Steps[list[PostingList | None]]:
        """The list of each dimension, None where no row has it."""
        names = {name: f"{name}{self._number}" for name in (*_TABLES, "rows", "values")}
        (data,) = yield [self._file.request_whole([names[table] for table in _TABLES])]
        starts = self._file.array(data, names["starts"]).view(np.int64)
        found, positions = postings.positions_of(self._file.array(data, names["dimensions"]), dimensions)
        largest = self._file.array(data, names["max_value"])[positions].tolist()
        smallest = self._file.array(data, names["min_value"])[positions].tolist()
        firsts, lasts = starts[positions], starts[positions + 1]
        (data,) = yield [self._file.request([Slices(names[part], firsts, lasts) for part in ("rows", "values")])]
        rows, values = (self._file.array(data, names[part]) for part in ("rows", "values"))
        result: list[PostingList | None] = [None] * len(dimensions)
        spans = zip(found.tolist(), firsts.tolist(), lasts.tolist(), largest, smallest, strict=True)
        for number, first, last, high, low in spans:
            result[number] = PostingList(rows[first:last], values[first:last], high, low)
        return result


class StoredPostings(Mapping[str, RangedPostings]):
    """The inverted lists by metadata key. `open_file` returns the file `postings`, and reads what leads to it."""

    def __init__(self, name: str, open_file: Callable[[], BlockFile]) -> None:
        """`name` is that of the file, for errors."""
        self._name = name
        self._open_file = open_file

    def __getitem__(self, key: str) -> RangedPostings:
        file = self._open_file()
        if key not in self._keys(file):
            raise KeyError(key)
        return RangedPostings(file, self._keys(file).index(key))

    def __contains__(self, key: object) -> bool:
        return key in self._keys(self._open_file())

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys(self._open_file()))

    def __len__(self) -> int:
        return len(self._keys(self._open_file()))

    def _keys(self, file: BlockFile) -> list[str]:
        meta = file.layout.meta
        if meta["version"] != postings.VERSION:
            raise Corrupt(f"{self._name} has format version {meta['version']}; {RESTORE_HINT}")
        keys: list[str] = meta["keys"]
        return keys
