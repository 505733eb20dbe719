"""Writes the file `places` of a clustered segment (`segment.places`), a chunk at a time."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afterglow.segment import array_file, places
from afterglow.segment.array_file import ArrayStream
from afterglow.segment.contents import PLACES, Samples
from afterglow.segment.lists_writer import StoredRows
from afterglow.segment.places import BY_ID, BY_ORDER, ENTRY, PLACE, SAMPLE_STEP

_CHUNK_ROWS = 65_536


def write(path: Path, stored: StoredRows, ids: Iterable[bytes], insertion: NDArray[np.int64]) -> tuple[str, Samples]:
    """Write the file of rows with these `ids` (UTF-8, in row order); its checksum, and the samples of its sort keys.

    `insertion` are the rows in insertion order.
    """
    prints = places.fingerprints(ids)
    order = np.argsort(prints[:, 0], kind="stable")
    streams = {
        BY_ID: ArrayStream("|u1", (len(order), ENTRY.itemsize), _entries(stored, prints, order)),
        BY_ORDER: ArrayStream("|u1", (len(order), PLACE.itemsize), _places(stored, insertion)),
    }
    checksum = array_file.write(path, PLACES, {}, streams)
    sampled = slice(None, None, SAMPLE_STEP)
    return checksum, Samples(prints[order[sampled], 0], stored.row_seqs[insertion[sampled]])


def _entries(stored: StoredRows, prints: NDArray[np.uint64], order: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    for rows in _chunks(order):
        entries = np.empty(len(rows), dtype=ENTRY)
        entries["key"], entries["check"] = prints[rows].T
        entries["place"] = places_at(stored, rows)
        yield entries.view(np.uint8)


def _places(stored: StoredRows, order: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    for rows in _chunks(order):
        yield places_at(stored, rows).view(np.uint8)


def _chunks(order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    return (order[start : start + _CHUNK_ROWS] for start in range(0, len(order), _CHUNK_ROWS))


def places_at(stored: StoredRows, rows: NDArray[np.int64]) -> "NDArray[np.void]":
    """The places of rows, of dtype PLACE (m,)."""
    found = np.empty(len(rows), dtype=PLACE)
    found["row"] = rows
    found["record_length"] = stored.record_lengths[rows]
    found["record_offset"] = stored.record_offsets[rows]
    found["record_checksum"] = stored.record_checksums[rows]
    found["vector_checksum"] = stored.vector_checksums[rows]
    found["row_seq"] = stored.row_seqs[rows]
    return found
