"""The index of an open clustered segment: it reads what a search needs by ranges, in rounds that segments share.

A caller collects the requests of all segments and brings them in by one `Objects.need`:

1. `list_request`: the lists to probe (`segment.lists`). `ListIndex.open` of the bytes searches them.
2. `vector_request`, `record_request`: exact vectors of the candidates and records of the result. Their places and
   checksums are in the entries that were found, and remembered for a while, so that this is the last round.

For rows that no search has found, `places_request` reads the lists that the rows belong to first.
"""

from collections import OrderedDict
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.arrays import slice_indices
from afterglow.errors import Corrupt
from afterglow.segment import array_file, records
from afterglow.segment.array_file import RESTORE_HINT
from afterglow.segment.distance import Vectors
from afterglow.segment.lists import DEFAULT_EF_SEARCH, Centroids, ListSearch, Places, entry_bytes
from afterglow.segment.manifest import SegmentInfo
from afterglow.segment.records import Strings
from afterglow.storage.ports import Bytes, LazyFile, Objects, Ranges

Rows = NDArray[np.int64]
Request = tuple[LazyFile, Ranges]

LISTS, VECTORS, RECORDS = "lists", "vectors", "records"

_REMEMBERED_ROWS = 8_192


class ListIndex:
    """The lists, vectors and records of one segment. Safe for any number of threads."""

    def __init__(self, objects: Objects, info: SegmentInfo, centroids: Centroids, ef_search: int = 0) -> None:
        """With an `ef_search` that the client configured, the measured breadth is scaled by it: 100 is the promise.

        Raises Corrupt if a file has another size than the centroids imply, ObjectNotFound.
        """
        self.objects = objects
        self.centroids = centroids
        self.rows = info.rows
        self._dimension = info.dimension
        self._scale = (ef_search or DEFAULT_EF_SEARCH) / DEFAULT_EF_SEARCH
        self._entry_bytes = entry_bytes(centroids.projection.width)
        self._files: dict[str, LazyFile] = {}
        self._starts: dict[str, int] = {}
        sizes = {
            LISTS: centroids.entries * self._entry_bytes,
            VECTORS: info.rows * 4 * info.dimension,
            RECORDS: centroids.record_bytes,
        }
        for role, size in sizes.items():
            file = info.files[role]
            start = array_file.single_array_start(file.size, size)
            if start <= 0:
                raise Corrupt(f"{file.key} has {file.size} bytes, which does not match its segment; {RESTORE_HINT}")
            self._files[role] = objects.lazy(file.key, file.size)
            self._starts[role] = start
        self._places: OrderedDict[int, tuple[int, int, int, int, int]] = OrderedDict()
        self._lock = Lock()

    @property
    def recall_target(self) -> float | None:
        """The recall for which the breadth was measured; None with an `ef_search` of the client's."""
        return self.centroids.breadth.target if self._scale == 1.0 else None

    def probes(self, k: float) -> int:
        """The number of lists to search for `k` neighbours."""
        return min(max(int(np.ceil(self.centroids.breadth.at(k) * self._scale)), 1), len(self.centroids))

    def list_request(self, lists: Rows) -> Request:
        """The bytes of these lists."""
        starts, ends = self.centroids.entry_starts[lists], self.centroids.entry_starts[lists + 1]
        offsets = self._starts[LISTS] + starts * self._entry_bytes
        ranges = Ranges(offsets, (ends - starts) * self._entry_bytes, self.centroids.checksums[lists])
        return self._files[LISTS], ranges

    def open(self, data: Bytes) -> ListSearch:
        """The search of the lists whose bytes are in `data`, the answer to `list_request`."""
        start = self._starts[LISTS]
        entries = data[start : start + self.centroids.entries * self._entry_bytes]
        return ListSearch(self.centroids, entries.reshape(-1, self._entry_bytes))

    def vector_request(self, places: Places) -> Request:
        """The bytes of the vectors at these places."""
        size = 4 * self._dimension
        offsets = self._starts[VECTORS] + places.rows * size
        return self._files[VECTORS], Ranges(offsets, np.full(len(offsets), size), places.vector_checksums)

    def vectors(self, data: Bytes, places: Places) -> Vectors:
        """The vectors, float32 (n, d), in the answer to `vector_request`."""
        size = 4 * self._dimension
        starts = self._starts[VECTORS] + places.rows * size
        gathered = data[slice_indices(starts, np.full(len(starts), size))[0]]
        return gathered.view("<f4").reshape(len(starts), self._dimension)

    def record_request(self, places: Places) -> Request:
        """The bytes of the records at these places."""
        offsets = self._starts[RECORDS] + places.record_offsets
        return self._files[RECORDS], Ranges(offsets, places.record_lengths, places.record_checksums)

    def records(self, data: Bytes, places: Places) -> list[Strings]:
        """The strings of the records in the answer to `record_request`."""
        starts = (self._starts[RECORDS] + places.record_offsets).tolist()
        lengths = places.record_lengths.tolist()
        return [
            records.decode(data[start : start + length].tobytes())
            for start, length in zip(starts, lengths, strict=True)
        ]

    def remember(self, places: Places) -> None:
        """Remember where the data of these rows is."""
        fields = zip(
            places.row_seqs.tolist(),
            places.record_offsets.tolist(),
            places.record_lengths.tolist(),
            places.record_checksums.tolist(),
            places.vector_checksums.tolist(),
            strict=True,
        )
        with self._lock:
            self._places.update(zip(places.rows.tolist(), fields, strict=True))
            while len(self._places) > _REMEMBERED_ROWS:
                self._places.popitem(last=False)

    def recall(self, rows: Rows) -> Places | None:
        """The places of these rows if all are remembered."""
        with self._lock:
            found = [self._places.get(row) for row in rows.tolist()]
        if any(place is None for place in found):
            return None
        columns = list(zip(*(place for place in found if place is not None), strict=True)) or [()] * 5
        signed = [np.array(column, dtype=np.int64) for column in columns[:3]]
        checksums = [np.array(column, dtype=np.uint64) for column in columns[3:]]
        return Places(rows, signed[0], signed[1], signed[2], checksums[0], checksums[1])

    def places_request(self, rows: Rows) -> Request:
        """The bytes of the lists that these rows belong to."""
        return self.list_request(np.unique(self._lists_of(rows)))

    def places(self, data: Bytes, rows: Rows) -> Places:
        """The places of these rows, in the answer to `places_request`."""
        lists = self._lists_of(rows)
        # The entries of a list begin with its own rows, in ascending order.
        entries = self.centroids.entry_starts[lists] + rows - self.centroids.starts[lists]
        return Places.of(self.open(data).views, entries)

    def _lists_of(self, rows: Rows) -> Rows:
        return np.searchsorted(self.centroids.starts, rows, side="right") - 1
