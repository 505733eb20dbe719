"""Opens a segment: verifies every file, maps it, and gives access to its rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns import serde
from afterglow.columns.string_column import StringColumn
from afterglow.errors import Corrupt
from afterglow.segment import id_index, postings
from afterglow.segment.array_file import RESTORE_HINT, MappedFile
from afterglow.segment.breadth import Breadth
from afterglow.segment.hnsw import HnswIndex, HnswParameters
from afterglow.segment.id_index import Hashes
from afterglow.segment.lists import Centroids, ListIndex
from afterglow.segment.lists_writer import CENTROIDS, LISTS
from afterglow.segment.manifest import SegmentInfo
from afterglow.segment.postings import Postings
from afterglow.segment.row_group import RowGroup
from afterglow.segment.writer import DELETED, GRAPH, POSTINGS, ROWS, STRINGS, VECTORS
from afterglow.storage.ports import Objects

Mask = NDArray[np.bool_]


class Segment:
    """An open segment. Safe for any number of threads; its maps live as long as anything refers to their arrays."""

    def __init__(self, objects: Objects, info: SegmentInfo, parameters: HnswParameters, *, verify: bool = True) -> None:
        """Raises Corrupt, ObjectNotFound."""
        self.info = info
        self._files = {role: MappedFile(objects, file, verify=verify) for role, file in info.files.items()}
        meta, arrays = self._files[ROWS].arrays(ROWS)
        strings_meta, string_arrays = self._files[STRINGS].arrays(STRINGS)
        _, vectors = self._files[VECTORS].arrays(VECTORS)
        columns = [arrays[f"column{number}"] for number in range(sum(name.startswith("column") for name in arrays))]
        self.rows = RowGroup(
            ids=_string_column("ids", meta, arrays),
            row_seqs=arrays["row_seqs"],
            vectors=vectors[VECTORS],
            norms=arrays["norms"],
            columns=serde.from_buffers(meta["columns"], columns),
            documents=_string_column("documents", strings_meta, string_arrays),
            uris=_string_column("uris", strings_meta, string_arrays),
            metadatas=_string_column("metadatas", strings_meta, string_arrays),
        )
        if self.rows.rows != info.rows or self.rows.vectors.shape != (info.rows, info.dimension):
            raise Corrupt(f"segment {info.id} does not hold the {info.rows} rows of its manifest; {RESTORE_HINT}")
        self._hashes: Hashes = arrays["hashes"]
        self._hash_rows: NDArray[np.uint32] = arrays["hash_rows"]
        self.graph = None
        if info.has_graph:
            file = self._files[GRAPH]
            measured = _breadth(info.files[ROWS].key, meta)
            self.graph = HnswIndex(
                info.files[GRAPH].key, file.map, parameters, info.rows, info.dimension, measured=measured
            )
        self.lists = None
        if info.has_lists:
            centroids = Centroids(info.files[CENTROIDS].key, *self._files[CENTROIDS].arrays(CENTROIDS))
            if centroids.rows != info.rows or centroids.projection.space is not parameters.space:
                raise Corrupt(f"{info.files[CENTROIDS].key} is not of segment {info.id}; {RESTORE_HINT}")
            entries = self._files[LISTS].arrays(LISTS)[1][LISTS]
            self.lists = ListIndex(info.files[LISTS].key, centroids, entries, parameters.ef_search)
        self.postings = self._postings()

    def lookup(self, ids: Sequence[str], hashes: Hashes) -> NDArray[np.int64]:
        """The row of each id, `id_index.MISSING` where there is none; `hashes` are those of the ids."""
        return id_index.lookup(self.rows.ids, self._hashes, self._hash_rows, ids, hashes)

    def verify_unchanged(self) -> None:
        """Raises Corrupt if a file was changed or truncated since it was opened."""
        for file in self._files.values():
            file.verify_unchanged()

    def _postings(self) -> dict[str, Postings]:
        """The inverted lists by key, one for every column of sparse vectors."""
        inverted: dict[str, Postings] = {}
        if POSTINGS in self._files:
            name = self.info.files[POSTINGS].key
            inverted = postings.deserialize(name, *self._files[POSTINGS].arrays(POSTINGS))
        if inverted.keys() != postings.sparse_columns(self.rows.columns).keys():
            raise Corrupt(f"segment {self.info.id} has lists of other keys than its sparse vectors; {RESTORE_HINT}")
        return inverted


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
