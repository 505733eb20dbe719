"""Opens a segment: verifies every file, maps it, and gives access to its rows."""

from collections.abc import Sequence
from threading import RLock
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from afterglow.columns import serde
from afterglow.columns.string_column import StringColumn
from afterglow.errors import Corrupt
from afterglow.segment import array_file, id_index, postings
from afterglow.segment.array_file import RESTORE_HINT, FileRef, MappedFile
from afterglow.segment.breadth import Breadth
from afterglow.segment.hnsw import HnswIndex, HnswParameters
from afterglow.segment.id_index import Hashes
from afterglow.segment.lazy_row_group import LazyRowGroup
from afterglow.segment.list_index import ListIndex
from afterglow.segment.lists import Centroids
from afterglow.segment.lists_writer import CENTROIDS, LISTS
from afterglow.segment.manifest import SegmentInfo
from afterglow.segment.postings import Postings
from afterglow.segment.row_group import RowGroup
from afterglow.segment.writer import DELETED, GRAPH, POSTINGS, RECORDS, ROWS, STRINGS, VECTORS
from afterglow.storage.ports import Bytes, Objects, Ranges

Mask = NDArray[np.bool_]


_ROLE_OF_FIELD = {
    "ids": ROWS,
    "row_seqs": ROWS,
    "norms": ROWS,
    "columns": ROWS,
    "vectors": VECTORS,
    "documents": STRINGS,
    "uris": STRINGS,
    "metadatas": STRINGS,
}

_STRINGS = {"ids", "documents", "uris", "metadatas"}


class Segment:
    """An open segment. Safe for any number of threads; its maps live as long as anything refers to their arrays.

    Of a clustered segment without sparse vectors only `centroids` is read at first. Its index reads ranges, and the
    other files are opened when something needs them whole. Of any other segment all files are opened.
    """

    def __init__(
        self,
        objects: Objects,
        info: SegmentInfo,
        parameters: HnswParameters,
        *,
        verify: bool = True,
        centroids: Bytes | None = None,
    ) -> None:
        """`centroids`: the bytes of that file, verified (`read_centroids`); None: they are read.

        Raises Corrupt, ObjectNotFound.
        """
        self.info = info
        self._objects = objects
        self._verify = verify
        self._lock = RLock()
        self._files: dict[str, MappedFile] = {}
        self._contents: dict[str, tuple[dict[str, Any], dict[str, NDArray[Any]]]] = {}
        self._fields: dict[str, Any] = {}
        self.graph, self.lists = None, None
        if info.has_lists:
            data = read_centroids(objects, [info])[info.id] if centroids is None else centroids
            self.lists = self._open_lists(data, parameters)
        if info.has_lists and POSTINGS not in info.files:
            self.rows: RowGroup = LazyRowGroup(info.rows, self._field)
        else:
            self.rows = RowGroup(**{name: self._field(name) for name in _ROLE_OF_FIELD})
        if info.has_graph:
            self.graph = HnswIndex(
                info.files[GRAPH].key,
                self._file(GRAPH).map,
                parameters,
                info.rows,
                info.dimension,
                measured=_breadth(info.files[ROWS].key, self._content(ROWS)[0]),
            )
        self.postings = self._postings()

    def lookup(self, ids: Sequence[str], hashes: Hashes) -> NDArray[np.int64]:
        """The row of each id, `id_index.MISSING` where there is none; `hashes` are those of the ids."""
        arrays = self._content(ROWS)[1]
        return id_index.lookup(self.rows.ids, arrays["hashes"], arrays["hash_rows"], ids, hashes)

    def verify_unchanged(self) -> None:
        """Raises Corrupt if a file was changed or truncated since it was opened."""
        with self._lock:
            files = list(self._files.values())
        for file in files:
            file.verify_unchanged()

    def _open_lists(self, data: Bytes, parameters: HnswParameters) -> ListIndex:
        info = self.info
        name = info.files[CENTROIDS].key
        centroids = Centroids(name, *array_file.parse(data.data, CENTROIDS, name))
        if centroids.rows != info.rows or centroids.projection.space is not parameters.space:
            raise Corrupt(f"{name} is not of segment {info.id}; {RESTORE_HINT}")
        return ListIndex(self._objects, info, centroids, parameters.ef_search)

    def _file(self, role: str) -> MappedFile:
        with self._lock:
            if role not in self._files:
                self._files[role] = MappedFile(self._objects, self.info.files[role], verify=self._verify)
            return self._files[role]

    def _content(self, role: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The meta and the arrays of a file."""
        with self._lock:
            if role not in self._contents:
                self._contents[role] = self._file(role).arrays(role)
            return self._contents[role]

    def _field(self, name: str) -> Any:
        """A field of the row group."""
        with self._lock:
            if name not in self._fields:
                self._fields[name] = self._read_field(name)
            return self._fields[name]

    def _read_field(self, name: str) -> Any:
        role, info = _ROLE_OF_FIELD[name], self.info
        meta, arrays = self._content(role)
        field: Any
        if name in _STRINGS:
            field = _string_column(name, meta, arrays)
        elif name == "columns":
            numbers = range(sum(key.startswith("column") for key in arrays))
            field = serde.from_buffers(meta["columns"], [arrays[f"column{number}"] for number in numbers])
        else:
            field = arrays[name]
        count = field.rows if name == "columns" else len(field)
        if count != info.rows or (name == "vectors" and field.shape[1] != info.dimension):
            raise Corrupt(f"segment {info.id} does not hold the {info.rows} rows of its manifest; {RESTORE_HINT}")
        return field

    def _postings(self) -> dict[str, Postings]:
        """The inverted lists by key, one for every column of sparse vectors."""
        inverted: dict[str, Postings] = {}
        if POSTINGS in self.info.files:
            inverted = postings.deserialize(self.info.files[POSTINGS].key, *self._content(POSTINGS))
        elif self.info.has_lists:
            return inverted
        if inverted.keys() != postings.sparse_columns(self.rows.columns).keys():
            raise Corrupt(f"segment {self.info.id} has lists of other keys than its sparse vectors; {RESTORE_HINT}")
        return inverted


def read_centroids(objects: Objects, segments: Sequence[SegmentInfo]) -> dict[str, Bytes]:
    """The verified bytes of the centroids of clustered segments, by segment id, in one round.

    Raises Corrupt, ObjectNotFound.
    """
    requests = []
    for info in segments:
        file = info.files[CENTROIDS]
        whole = Ranges(np.zeros(1, dtype=np.int64), np.array([file.size]))
        requests.append((objects.lazy(file.key, file.size), whole))
    result: dict[str, Bytes] = {}
    for info, request, data in zip(segments, requests, objects.need(requests), strict=True):
        file = info.files[CENTROIDS]
        if xxhash.xxh3_128_hexdigest(data.data) != file.checksum and objects.invalidate(file.key):
            (data,) = objects.need([request])  # noqa: PLW2901  a damaged copy is fetched again
        if xxhash.xxh3_128_hexdigest(data.data) != file.checksum:
            raise Corrupt(f"{file.key} is damaged: it does not match its checksum; {RESTORE_HINT}")
        result[info.id] = data
    return result


def whole_files(info: SegmentInfo) -> list[FileRef]:
    """The files that opening the segment reads whole, besides the centroids; its deletion vector among them."""
    if info.has_lists and POSTINGS not in info.files:
        return [] if info.deletions is None else [info.deletions]
    skipped = {LISTS, RECORDS, CENTROIDS} if info.has_lists else set()
    files = [file for role, file in info.files.items() if role not in skipped]
    return files if info.deletions is None else [*files, info.deletions]


def _breadth(name: str, meta: dict[str, Any]) -> Breadth | None:
    """The measured breadth of the graph in the header of `rows`; None in a segment of a release that measured none."""
    if "breadth" not in meta:
        return None
    try:
        return Breadth.from_json(meta["breadth"])
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{name} cannot be read: {error}; {RESTORE_HINT}") from error


def read_deletions(objects: Objects, info: SegmentInfo) -> Mask | None:
    """The mask of a segment's deleted rows, None where there are none. Raises Corrupt, ObjectNotFound."""
    if info.deletions is None:
        return None
    _, arrays = MappedFile(objects, info.deletions).arrays(DELETED)
    rows = arrays[DELETED]
    if len(rows) != info.deleted_rows or (len(rows) and int(rows[-1]) >= info.rows):
        raise Corrupt(
            f"{info.deletions.key} does not hold the {info.deleted_rows} deleted rows of its manifest; {RESTORE_HINT}"
        )
    mask = np.zeros(info.rows, dtype=np.bool_)
    mask[rows] = True
    return mask


def _string_column(name: str, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> StringColumn:
    buffers = [array for key, array in arrays.items() if key.startswith(name) and key.removeprefix(name).isdigit()]
    return StringColumn.from_arrays(meta[name], buffers)
