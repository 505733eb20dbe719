"""Opens a segment: verifies every file, maps it, and gives access to its rows."""

from collections.abc import Mapping, Sequence
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns import serde
from afterglow.columns.column import ColumnSet
from afterglow.columns.string_column import StringColumn
from afterglow.errors import Corrupt
from afterglow.segment import contents, id_index, postings
from afterglow.segment.array_file import RESTORE_HINT, FileRef, MappedFile
from afterglow.segment.breadth import Breadth
from afterglow.segment.contents import CONTENTS, Contents
from afterglow.segment.hnsw import HnswIndex, HnswParameters
from afterglow.segment.id_index import Hashes
from afterglow.segment.lazy_row_group import LazyRowGroup
from afterglow.segment.list_index import CENTROIDS, LISTS, ListIndex
from afterglow.segment.manifest import DELETED, POSTINGS, RECORDS, REDUCED_GRAPH, ROWS, STRINGS, VECTORS, SegmentInfo
from afterglow.segment.postings import Postings
from afterglow.segment.reduction import BASIS, Reduction
from afterglow.segment.root_file import RootFile
from afterglow.segment.rounds import Steps
from afterglow.segment.row_group import RowGroup
from afterglow.segment.row_reader import RowReader
from afterglow.segment.scan_codes import LazyScanCodes
from afterglow.segment.stored_columns import StoredColumns
from afterglow.segment.stored_postings import RangedPostings, StoredPostings
from afterglow.storage.ports import Bytes, Objects

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

    Of a clustered segment nothing is read at first. Its index and its file `rows` are read by ranges, and the other
    files are opened when something needs them whole. A clustered segment of a release before the file `contents` has
    its files `rows` and `postings` read whole, too. Of any other segment all files are opened.
    """

    def __init__(self, objects: Objects, info: SegmentInfo, parameters: HnswParameters, *, verify: bool = True) -> None:
        """Raises Corrupt, ObjectNotFound."""
        self.info = info
        self.objects = objects
        self._verify = verify
        self._lock = RLock()
        self._files: dict[str, MappedFile] = {}
        self._contents: dict[str, tuple[dict[str, Any], dict[str, NDArray[Any]]]] = {}
        self._fields: dict[str, Any] = {}
        self.graph, self.lists = None, None
        self.root: RootFile[Contents] | None = None
        if info.has_lists:
            if CONTENTS in info.files:
                self.root = RootFile(objects, info.files[CONTENTS], self._parse_contents)
            reader = RowReader(objects, info, self.root)
            self.lists = ListIndex(objects, info, reader, parameters.space, parameters.ef_search)
        if is_lazy(info):
            self.rows: RowGroup = LazyRowGroup(info.rows, self._field)
        else:
            fields = {name: self._field(name) for name in _ROLE_OF_FIELD}
            self.rows = RowGroup(**fields, scan_codes=None if info.is_indexed else LazyScanCodes())
        if info.graph_role is not None:
            self.graph = HnswIndex(
                info.files[info.graph_role].key,
                self._file(info.graph_role).map,
                parameters,
                info.rows,
                info.dimension,
                measured=_breadth(info.files[ROWS].key, self._content(ROWS)[0]),
                scale=self._content(ROWS)[0].get("code_scale", 0.0),
                reduction=self._reduction(),
            )
        self.postings = self._postings()

    def find(self, ids: Sequence[str], hashes: Hashes) -> Steps[NDArray[np.int64]]:
        """The row of each id, `id_index.MISSING` where there is none; `hashes` are those of the ids."""
        if self.root is not None and self.lists is not None:
            return (yield from self.lists.reader.find(ids, hashes))
        arrays = self._content(ROWS)[1]
        return id_index.lookup(self.rows.ids, arrays["hashes"], arrays["hash_rows"], ids, hashes)

    def verify_unchanged(self) -> None:
        """Raises Corrupt if a file was changed or truncated since it was opened."""
        with self._lock:
            files = list(self._files.values())
        for file in files:
            file.verify_unchanged()

    def _parse_contents(self, data: Bytes) -> Contents:
        found = contents.parse(self.objects, self.info, data)
        assert self.lists is not None
        self.lists.reader.set_record_bytes(found.record_bytes)
        return found

    def _file(self, role: str) -> MappedFile:
        with self._lock:
            if role not in self._files:
                self._files[role] = MappedFile(self.objects, self.info.files[role], verify=self._verify)
            return self._files[role]

    def _content(self, role: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The meta and the arrays of a file."""
        with self._lock:
            if role not in self._contents:
                self._contents[role] = self._file(role).arrays(role)
            return self._contents[role]

    def _field(self, name: str) -> Any:
        """A field of the row group. What is read by ranges is not held, but needed again each time."""
        if self.root is not None and _ROLE_OF_FIELD[name] == ROWS:
            return self._read_ranged(name, self.root.get())
        with self._lock:
            if name not in self._fields:
                self._fields[name] = self._read_field(name, *self._content(_ROLE_OF_FIELD[name]))
            return self._fields[name]

    def _read_ranged(self, name: str, root: Contents) -> Any:
        file = root.files[ROWS]
        if name == "columns":
            # What is mapped need not be widened.
            narrow = root.narrow if self.objects.evicts else None
            return ColumnSet(self.info.rows, StoredColumns(self.objects, file, root.columns, narrow))
        names = [array for array in file.layout.arrays if array == name or _is_part(array, name)]
        (data,) = self.objects.need([file.request_whole(names)])
        return self._read_field(name, file.layout.meta, {array: file.array(data, array) for array in names})

    def _read_field(self, name: str, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Any:
        info = self.info
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

    def _reduction(self) -> Reduction | None:
        """The reduction of the graph. Raises Corrupt where its basis is missing or of another dimension."""
        if self.info.graph_role != REDUCED_GRAPH:
            return None
        basis = self._content(ROWS)[1].get(BASIS)
        if basis is None or basis.dtype != np.float32 or basis.ndim != 2 or len(basis) != self.info.dimension:
            raise Corrupt(f"{self.info.files[ROWS].key} has no basis of the segment's graph; {RESTORE_HINT}")
        return Reduction(np.array(basis))

    def _postings(self) -> Mapping[str, Postings | RangedPostings]:
        """The inverted lists by key, one for every column of sparse vectors."""
        root = self.root
        if root is not None:
            name = self.info.files[POSTINGS].key if POSTINGS in self.info.files else ""
            return StoredPostings(name, lambda: root.get().files[POSTINGS]) if name else {}
        inverted: dict[str, Postings] = {}
        if POSTINGS in self.info.files:
            inverted = postings.deserialize(self.info.files[POSTINGS].key, *self._content(POSTINGS))
        elif is_lazy(self.info):
            return inverted
        if inverted.keys() != postings.sparse_columns(self.rows.columns).keys():
            raise Corrupt(f"segment {self.info.id} has lists of other keys than its sparse vectors; {RESTORE_HINT}")
        return inverted


def is_lazy(info: SegmentInfo) -> bool:
    """Whether opening the segment reads nothing: it is clustered, and has nothing that must be read whole."""
    return info.has_lists and (CONTENTS in info.files or POSTINGS not in info.files)


def whole_files(info: SegmentInfo) -> list[FileRef]:
    """The files that opening the segment reads whole; its deletion vector among them."""
    deletions = [] if info.deletions is None else [info.deletions]
    if is_lazy(info):
        return deletions
    skipped = {LISTS, RECORDS, CENTROIDS} if info.has_lists else set()
    return [*(file for role, file in info.files.items() if role not in skipped), *deletions]


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


def _is_part(array: str, name: str) -> bool:
    """Whether an array is one of those of a string column."""
    return array.startswith(name) and array.removeprefix(name).isdigit()


def _string_column(name: str, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> StringColumn:
    return StringColumn.from_arrays(meta[name], [array for key, array in arrays.items() if _is_part(key, name)])
