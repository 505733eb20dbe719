"""Writes the covering index of a clustered segment (`segment.covering_index`).

1. Choose the keys: those with enough different values that one of them is selective, in a sample of the rows; those
   with the fewest first, for they are what a collection is divided by (a tenant, a category), and numbers like times
   after them. Together their entries take at most a quarter of the bytes of the vectors, unless it is only one key.
2. Encode all rows once, in the order of the lists, to a temporary file.
3. Measure how many of the best by their codes hold the nearest (`segment.code_depths`).
4. Gather the entries of each key in the order of its values; write the file.

A crash leaves temporary files, which the next start removes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.column import Column, ColumnSet, ColumnType
from afterglow.segment import array_file, covering_index, places_writer, scaled_codes, two_bit_codes
from afterglow.segment.array_file import ArrayStream
from afterglow.segment.binary_codes import Entries
from afterglow.segment.breadth import Breadth
from afterglow.segment.clustering import Clustering
from afterglow.segment.code_depths import CodedRows, depths
from afterglow.segment.covering_index import COVERING, VERSION
from afterglow.segment.lists_writer import UNSEEN_MARGIN, StoredRows
from afterglow.segment.places import PLACE
from afterglow.segment.precision import golden_sample
from afterglow.segment.row_encoding import encoded_rows
from afterglow.storage.file_map import release_pages

_TYPES = (ColumnType.STR, ColumnType.INT, ColumnType.FLOAT)
_SAMPLE = 4_096
_LEAST_VALUES = 16
"""Of fewer values one leaves so many rows that reading lists is as good."""
_MOST_BYTES = 0.25
_DEPTH_KS = (10, 100)
_CHUNK_ROWS = 4_096

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClusteredRows:
    """The rows of a new segment, and its metadata columns, all in the order of the lists."""

    clustering: Clustering
    rows: StoredRows
    columns: ColumnSet


@dataclass(frozen=True, slots=True)
class _KeyColumn:
    """A column of a key."""

    key: str
    column: Column


def write(path: Path, scratch: Path, new: ClusteredRows, target: float) -> str | None:
    """Write the file; its checksum. None, and no file, where no key is worth it.

    `target` is the recall, 0 to 1. `scratch` is the path of a temporary file, removed at the end.
    """
    clustering, rows = new.clustering, new.rows
    width = clustering.projection.width
    chosen = choose(new.columns, covering_index.entry_bytes(width), rows.vectors.nbytes)
    if not chosen:
        return None
    decoded = scaled_codes.rounded(clustering.centroids)
    try:
        size = two_bit_codes.entry_bytes(width)
        stream = encoded_rows(clustering, decoded, rows.vectors, two_bit_codes.encode, size)
        array_file.write(scratch, COVERING, {}, {COVERING: stream})
        codes = array_file.map_arrays(scratch, COVERING)[COVERING]
        coded = CodedRows(
            rows.vectors, rows.norms, codes, clustering.starts, decoded, clustering.projection, two_bit_codes.estimates
        )
        measured = depths(coded, _DEPTH_KS, min(target + UNSEEN_MARGIN, 1.0))
        meta = {
            "version": VERSION,
            "width": width,
            "columns": [[one.key, one.column.type.value] for one in chosen],
            "depth": Breadth(target, _DEPTH_KS, tuple(measured)).to_json(),
        }
        arrays = {
            str(number): ArrayStream(
                "|u1", (one.column.count, covering_index.entry_bytes(width)), _gather(one.column, rows, codes)
            )
            for number, one in enumerate(chosen)
        }
        return array_file.write(path, COVERING, meta, arrays)
    finally:
        scratch.unlink(missing_ok=True)


def choose(columns: ColumnSet, size: int, vector_bytes: int) -> list[_KeyColumn]:
    """The columns to index, those with the fewest different values first; an entry has `size` bytes."""
    candidates = []
    for key, of_key in columns.columns.items():
        for column in of_key:
            if column.type in _TYPES and column.count >= _LEAST_VALUES:
                different = len(np.unique(column.values[golden_sample(column.count, _SAMPLE)]))
                if different >= _LEAST_VALUES:
                    candidates.append((different, key, column))
    chosen: list[_KeyColumn] = []
    left = _MOST_BYTES * vector_bytes
    for _, key, column in sorted(candidates, key=lambda candidate: candidate[:2]):
        if size * column.count <= left or not chosen:
            left -= size * column.count
            chosen.append(_KeyColumn(key, column))
    return chosen


def _gather(column: Column, rows: StoredRows, codes: Entries) -> Iterator[Entries]:
    """The entries of the rows of a column in the order of its values."""
    order = np.argsort(column.values, kind="stable")
    for start in range(0, len(order), _CHUNK_ROWS):
        items = order[start : start + _CHUNK_ROWS]
        own = items if column.row_ids is None else column.row_ids[items].astype(np.int64)
        entries = np.empty((len(own), PLACE.itemsize + codes.shape[1]), dtype=np.uint8)
        entries[:, : PLACE.itemsize] = places_writer.places_at(rows, own).view(np.uint8).reshape(len(own), -1)
        entries[:, PLACE.itemsize :] = codes[own]
        yield entries
        release_pages(codes)
