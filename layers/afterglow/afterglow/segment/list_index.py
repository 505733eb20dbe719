"""The index of an open clustered segment: it reads what a search needs by ranges, in rounds that segments share.

A caller reads the centroids of all segments together (`read_roots`), then collects the requests of all
segments and brings them in by one `Objects.need`:

1. `binary_codes_request`, for many lists: which of them are worth reading (`segment.binary_codes`).
2. `list_request`: the lists to probe (`segment.lists`). `ListIndex.open` of the bytes searches them.
3. Exact vectors of the candidates and records of the result, by `ListIndex.reader` (`segment.row_reader`). Their places
   are in the entries that were found, and remembered for a while, so that this is the last round.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.errors import Corrupt
from afterglow.segment import array_file, breadth, likely_places, lists
from afterglow.segment.array_file import RESTORE_HINT
from afterglow.segment.binary_codes import BINARY_CODES
from afterglow.segment.block_file import BlockFile, Slices
from afterglow.segment.covering_index import CoveringIndex
from afterglow.segment.distance import Space
from afterglow.segment.lists import DEFAULT_EF_SEARCH, Centroids, ListSearch, entry_bytes
from afterglow.segment.manifest import SegmentInfo
from afterglow.segment.places import Places
from afterglow.segment.root_file import RootFile, read_together
from afterglow.segment.rounds import Request, Steps
from afterglow.segment.row_reader import RowReader
from afterglow.storage.ports import Bytes, Objects, Ranges

Rows = NDArray[np.int64]

CENTROIDS, LISTS = "centroids", "lists"


class ListIndex:
    """The lists of one segment. Safe for any number of threads."""

    def __init__(
        self, objects: Objects, info: SegmentInfo, reader: RowReader, space: Space, ef_search: int = 0
    ) -> None:
        """With an `ef_search` that the client configured, the measured breadth is scaled by it: 100 is the promise.

        Raises ObjectNotFound and Corrupt of a local store.
        """
        self.objects = objects
        self.reader = reader
        self.rows = info.rows
        self.root = RootFile(objects, info.files[CENTROIDS], self._parse)
        self._info = info
        self._space = space
        self._scale = (ef_search or DEFAULT_EF_SEARCH) / DEFAULT_EF_SEARCH
        self._lists = objects.lazy(info.files[LISTS].key, info.files[LISTS].size)
        self._start = 0

    @property
    def centroids(self) -> Centroids:
        """The centroids, read now if they were not. Raises Corrupt, UnsupportedFormat, ObjectNotFound."""
        return self.root.get()

    @property
    def recall_target(self) -> float | None:
        """The recall for which the breadth was measured; None with an `ef_search` of the client's."""
        return self.centroids.breadth.target if self._scale == 1.0 else None

    def probes(self, k: float) -> int:
        """The number of lists to search at most for `k` neighbours."""
        return min(max(math.ceil(self.centroids.breadth.at(k) * self._scale), 1), len(self.centroids))

    def within(self, k: float, nearest: float) -> float:
        """How much farther than the nearest list those to search are at most, in `Projection.comparable` numbers.

        `nearest` is the squared distance of the query to it in the projected space.
        """
        centroids = self.centroids
        if centroids.within is None:
            return np.inf
        remoteness = breadth.remoteness(nearest, centroids.usual)
        return centroids.within.at(k) * remoteness * self._scale * centroids.projection.unit**2

    def shortlisted(self, k: int) -> int | None:
        """How many rows by binary codes hold the `k` nearest; None for a segment without binary codes."""
        measured = self.centroids.shortlist
        if measured is None or self.reader.contents is None:
            return None
        return max(math.ceil(measured.at(k) * self._scale), k)

    def binary_codes_request(self, chosen: Rows) -> Request:
        """The binary codes of the rows of these lists, in a segment that has them; its root `contents` was read."""
        starts = self.centroids.starts
        return self._binary_codes.request([Slices(BINARY_CODES, starts[chosen], starts[chosen + 1])])

    def binary_codes(self, data: Bytes) -> NDArray[np.uint8]:
        """The entries of the file in the answer to the request, by row."""
        return self._binary_codes.array(data, BINARY_CODES)

    @property
    def covering(self) -> CoveringIndex | None:
        """The covering index; None without one, or where the root `contents` was not read."""
        contents = self.reader.contents
        return contents.get().covering if contents is not None else None

    def covered(self, k: int) -> int:
        """How many rows by the codes of the covering index hold the `k` nearest."""
        assert self.covering is not None, "the caller knows that there is one"
        return max(math.ceil(self.covering.depth.at(k) * self._scale), k)

    def list_request(self, chosen: Rows) -> Request:
        """The bytes of these lists."""
        centroids, size = self.centroids, self._entry_bytes
        starts, ends = centroids.entry_starts[chosen], centroids.entry_starts[chosen + 1]
        return self._lists, Ranges(self._start + starts * size, (ends - starts) * size, centroids.checksums[chosen])

    def open(self, data: Bytes) -> ListSearch:
        """The search of the lists whose bytes are in `data`, the answer to `list_request`."""
        entries = data[self._start : self._start + self.centroids.entries * self._entry_bytes]
        return ListSearch(self.centroids, entries.reshape(-1, self._entry_bytes))

    def places(self, rows: Rows) -> Steps[Places]:
        """The places of these rows; without the file `contents` from the lists that they belong to."""
        found = self.reader.recall(rows)
        if found is not None:
            return found
        if self.reader.contents is not None:
            return (yield from self.reader.places(rows))
        own = lists.lists_of(self.centroids.starts, rows)
        (data,) = yield [self.list_request(np.unique(own))]
        # The entries of a list begin with its own rows, in ascending order.
        entries = self.centroids.entry_starts[own] + rows - self.centroids.starts[own]
        found = lists.places_of(self.open(data).views, entries)
        self.reader.remember(found)
        return found

    def row_seqs(self, rows: Rows) -> Steps[Rows]:
        """The insertion sequence numbers of these rows, in a segment with the file `contents`."""
        found = self.reader.recall(rows)
        return (yield from self.reader.row_seqs(rows)) if found is None else found.row_seqs

    @property
    def _binary_codes(self) -> BlockFile:
        assert self.reader.contents is not None, "a segment with binary codes has the file contents"
        return self.reader.contents.get().files[BINARY_CODES]

    @property
    def _entry_bytes(self) -> int:
        return entry_bytes(self.centroids.projection.width)

    def _parse(self, data: Bytes) -> Centroids:
        info = self._info
        name = info.files[CENTROIDS].key
        centroids = Centroids(name, *array_file.parse(data.data, CENTROIDS, name))
        if centroids.rows != info.rows or centroids.projection.space is not self._space:
            raise Corrupt(f"{name} is not of segment {info.id}; {RESTORE_HINT}")
        file = info.files[LISTS]
        self._start = array_file.single_array_start(
            file.size, centroids.entries * entry_bytes(centroids.projection.width)
        )
        if self._start <= 0:
            raise Corrupt(f"{file.key} has {file.size} bytes, which does not match its segment; {RESTORE_HINT}")
        self.reader.set_record_bytes(centroids.record_bytes)
        return centroids


def likely_places_of_ids(indexes: Sequence[ListIndex | None], ids: Sequence[str]) -> list[Request]:
    """Where the places of these ids are likely to be (`segment.likely_places`); an index may be None."""
    present = [index for index in indexes if index is not None and index.reader.contents is not None]
    return likely_places.of_ids([index.reader.places_file for index in present], [index.rows for index in present], ids)


def read_roots(
    indexes: Sequence[ListIndex | None],
    *,
    search: bool,
    rows: bool,
    extra: Callable[[], Sequence[Request]] = tuple,
) -> None:
    """Read the root files that were not read yet, in one round; an index may be None.

    They lead to the lists (`search`), and to ids, columns, postings and the order of insertion (`rows`). If there are
    any, what is likely to be needed next is read with them (`extra`).

    Raises Corrupt, UnsupportedFormat, ObjectNotFound.
    """
    present = [index for index in indexes if index is not None]
    files: list[RootFile[Any]] = [index.root for index in present] if search else []
    if rows:
        files += [index.reader.contents for index in present if index.reader.contents is not None]
    if files:
        read_together(present[0].objects, files, extra)
