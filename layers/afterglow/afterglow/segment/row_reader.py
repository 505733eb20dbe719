"""Reads rows of a clustered segment by ranges: first where a row is (its place), then its vector and its record.

The place of a row is also in every entry of the lists (`segment.lists`); a search remembers those of its result, so
that reading them is its last round. Others are found in the file `places` (`segment.places`): by id or by position in
insertion order in one round, by row number in two, because the insertion sequence number is read first.
"""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.arrays import slice_indices
from afterglow.errors import Corrupt
from afterglow.segment import array_file, id_index, places, records
from afterglow.segment.array_file import RESTORE_HINT
from afterglow.segment.block_file import BlockFile, Slices
from afterglow.segment.contents import PLACES, Contents
from afterglow.segment.distance import Vectors
from afterglow.segment.id_index import MISSING, Hashes
from afterglow.segment.manifest import SegmentInfo
from afterglow.segment.places import BY_ID, BY_ORDER, ENTRY, PLACE, Places
from afterglow.segment.records import Strings
from afterglow.segment.root_file import RootFile
from afterglow.segment.rounds import Request, Steps
from afterglow.storage.ports import Bytes, LazyFile, Objects, Ranges

Rows = NDArray[np.int64]

ROWS, VECTORS, RECORDS = "rows", "vectors", "records"

_REMEMBERED_ROWS = 8_192
_LOOKUP_BYTES = 24 * 1024
"""What is read to look up one id."""
_MIN_FILTERED_BYTES = 1024 * 1024
"""From so many bytes on it may pay to leave out new ids first, which takes a round of its own."""
_HASH_BYTES = 8


class RowReader:
    """The vectors, records and places of one segment. Safe for any number of threads."""

    def __init__(self, objects: Objects, info: SegmentInfo, contents: RootFile[Contents] | None) -> None:
        """`contents` is None for a segment without that file. Raises Corrupt, and ObjectNotFound of a local store."""
        self.contents = contents
        self._info = info
        self._objects = objects
        self._files = {role: objects.lazy(info.files[role].key, info.files[role].size) for role in (VECTORS, RECORDS)}
        self._vectors_start = self._start(VECTORS, info.rows * 4 * info.dimension)
        self._records_start = 0
        self._remembered: OrderedDict[int, tuple[int, int, int, int, int]] = OrderedDict()
        self._lock = Lock()

    @property
    def places_file(self) -> LazyFile:
        """The file `places`, of a segment with the file `contents`."""
        file = self._info.files[PLACES]
        return self._objects.lazy(file.key, file.size)

    def set_record_bytes(self, record_bytes: int) -> None:
        """The size of all records, from the file `centroids` or `contents`. Raises Corrupt if it does not match."""
        self._records_start = self._start(RECORDS, record_bytes)

    def vector_request(self, found: Places) -> Request:
        """The bytes of the vectors at these places."""
        size = 4 * self._info.dimension
        offsets = self._vectors_start + found.rows * size
        return self._files[VECTORS], Ranges(offsets, np.full(len(offsets), size), found.vector_checksums)

    def vectors(self, data: Bytes, found: Places) -> Vectors:
        """The vectors, float32 (n, d), in the answer to `vector_request`."""
        rows, dimension = self._info.rows, self._info.dimension
        stop = self._vectors_start + 4 * rows * dimension
        stored: Vectors = data[self._vectors_start : stop].view("<f4").reshape(rows, dimension)
        return stored[found.rows]

    def record_request(self, found: Places) -> Request:
        """The bytes of the records at these places, which come from one of the two root files."""
        offsets = self._records_start + found.record_offsets
        return self._files[RECORDS], Ranges(offsets, found.record_lengths, found.record_checksums)

    def records(self, data: Bytes, found: Places) -> list[Strings]:
        """The strings of the records in the answer to `record_request`."""
        starts = (self._records_start + found.record_offsets).tolist()
        return [
            records.decode(data[start : start + length].tobytes())
            for start, length in zip(starts, found.record_lengths.tolist(), strict=True)
        ]

    def remember(self, found: Places) -> None:
        """Remember where the data of these rows is."""
        values = zip(
            found.row_seqs.tolist(),
            found.record_offsets.tolist(),
            found.record_lengths.tolist(),
            found.record_checksums.tolist(),
            found.vector_checksums.tolist(),
            strict=True,
        )
        with self._lock:
            self._remembered.update(zip(found.rows.tolist(), values, strict=True))
            while len(self._remembered) > _REMEMBERED_ROWS:
                self._remembered.popitem(last=False)

    def recall(self, rows: Rows) -> Places | None:
        """The places of these rows if all are remembered."""
        with self._lock:
            found = [self._remembered.get(row) for row in rows.tolist()]
        if any(place is None for place in found):
            return None
        columns = list(zip(*(place for place in found if place is not None), strict=True)) or [()] * 5
        signed = [np.array(column, dtype=np.int64) for column in columns[:3]]
        sums = [np.array(column, dtype=np.uint64) for column in columns[3:]]
        return Places(rows, signed[0], signed[1], signed[2], sums[0], sums[1])

    def find(self, ids: Sequence[str], hashes: Hashes) -> Steps[Rows]:
        """The last row of each id, `id_index.MISSING` where there is none; `hashes` are those of the ids.

        Of many ids those that are new are left out first, by the hashes of all rows.
        """
        contents = self._contents()
        requested = np.arange(len(ids))
        if len(ids) * _LOOKUP_BYTES > max(_HASH_BYTES * self._info.rows, _MIN_FILTERED_BYTES):
            (data,) = yield [contents.files[ROWS].request_whole(["hashes"])]
            requested = np.flatnonzero(id_index.are_present(contents.files[ROWS].array(data, "hashes"), hashes))
        rows = np.full(len(ids), MISSING, dtype=np.int64)
        if len(requested):
            prints = places.fingerprints(ids[number].encode() for number in requested.tolist())
            starts, stops = places.sampled_bounds(contents.id_samples, prints[:, 0], self._info.rows)
            (data,) = yield [contents.files[PLACES].request([Slices(BY_ID, starts, stops)])]
            entries = _structured(contents.files[PLACES], data, BY_ID, ENTRY)
            numbers, slots = _matches(entries, prints, starts, stops)
            found = Places.of(entries["place"][slots])
            self.remember(found)
            np.maximum.at(rows, requested[numbers], found.rows)
        return rows

    def read_order(self, starts: Rows, stops: Rows) -> Steps["NDArray[np.void]"]:
        """The places (PLACE) of the rows at the positions starts[i] … stops[i] − 1 in insertion order; remembered."""
        file = self._contents().files[PLACES]
        (data,) = yield [file.request([Slices(BY_ORDER, starts, stops)])]
        found = _structured(file, data, BY_ORDER, PLACE)[slice_indices(starts, stops - starts)[0]]
        self.remember(Places.of(found))
        return found

    @property
    def order_samples(self) -> Rows:
        """The insertion sequence number of every 256th row in insertion order (`places.SAMPLE_STEP`)."""
        return self._contents().order_samples

    def row_seqs(self, rows: Rows) -> Steps[Rows]:
        """The insertion sequence numbers of these rows."""
        file = self._contents().files[ROWS]
        (data,) = yield [file.request([Slices("row_seqs", rows, rows + 1)])]
        numbers: Rows = file.array(data, "row_seqs")[rows]
        return numbers

    def places(self, rows: Rows) -> Steps[Places]:
        """The places of these rows."""
        row_seqs = yield from self.row_seqs(rows)
        contents = self._contents()
        starts, stops = places.sampled_bounds(contents.order_samples, row_seqs, self._info.rows)
        (data,) = yield [contents.files[PLACES].request([Slices(BY_ORDER, starts, stops)])]
        stored = _structured(contents.files[PLACES], data, BY_ORDER, PLACE)
        positions = places.lower_bounds(stored["row_seq"], row_seqs, starts, stops)
        found = Places.of(stored[np.minimum(positions, len(stored) - 1)])
        if (positions == stops).any() or (found.rows != rows).any():
            raise Corrupt(f"segment {self._info.id} has rows that are not in its insertion order; {RESTORE_HINT}")
        self.remember(found)
        return found

    def _contents(self) -> Contents:
        assert self.contents is not None, "the caller knows that the segment has this file"
        return self.contents.get()

    def _start(self, role: str, array_bytes: int) -> int:
        file = self._info.files[role]
        start = array_file.single_array_start(file.size, array_bytes)
        if start <= 0:
            raise Corrupt(f"{file.key} has {file.size} bytes, which does not match its segment; {RESTORE_HINT}")
        return start


def _structured(file: BlockFile, data: Bytes, name: str, dtype: np.dtype[np.void]) -> "NDArray[np.void]":
    return file.array(data, name).view(dtype)[:, 0]


def _matches(entries: "NDArray[np.void]", prints: NDArray[np.uint64], starts: Rows, stops: Rows) -> tuple[Rows, Rows]:
    """Pairs of a fingerprint and an entry that has it: the number of each."""
    slots = places.lower_bounds(entries["key"], prints[:, 0], starts, stops)
    numbers = np.arange(len(prints))
    pairs: list[tuple[Rows, Rows]] = []
    while len(numbers):
        is_candidate = slots < stops[numbers]
        numbers, slots = numbers[is_candidate], slots[is_candidate]
        has_key = entries["key"][slots] == prints[numbers, 0]
        numbers, slots = numbers[has_key], slots[has_key]
        is_match = entries["check"][slots] == prints[numbers, 1]
        pairs.append((numbers[is_match], slots[is_match]))
        slots = slots + 1
    none = np.empty(0, dtype=np.int64)
    return np.concatenate([none, *(pair[0] for pair in pairs)]), np.concatenate([none, *(pair[1] for pair in pairs)])
