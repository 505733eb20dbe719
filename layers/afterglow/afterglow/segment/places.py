"""Places: where the vector and the record of a row are, found by id or by insertion order; the file `places`.

    by_id      u1 (n, 56)   ascending by the first 8 bytes of the fingerprint of the id: both halves u8, then the place
    by_order   u1 (n, 40)   the places in insertion order

A place is row u4 · record length u4 · record offset u8 · xxh3-64 of the record u8 · xxh3-64 of the vector u8 ·
insertion sequence number i8. The fingerprint of an id is its BLAKE2b of 128 bits: it stands for the id, which is
never compared itself, because nobody can make two ids with one fingerprint. Samples of the sort keys, every 256th, are
in the root file `contents`; so a reader knows which 256 entries to read.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

BY_ID, BY_ORDER = "by_id", "by_order"
SAMPLE_STEP = 256
PLACE = np.dtype(
    [
        ("row", "<u4"),
        ("record_length", "<u4"),
        ("record_offset", "<u8"),
        ("record_checksum", "<u8"),
        ("vector_checksum", "<u8"),
        ("row_seq", "<i8"),
    ]
)
ENTRY = np.dtype([("key", "<u8"), ("check", "<u8"), ("place", PLACE)])
_FINGERPRINT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Places:
    """Where the data of some rows is: their numbers, insertion sequence numbers, records, and checksums, (n,) each."""

    rows: Rows
    row_seqs: Rows
    record_offsets: Rows
    record_lengths: Rows
    record_checksums: NDArray[np.uint64]
    vector_checksums: NDArray[np.uint64]

    def take(self, positions: Rows | slice) -> "Places":
        """Some of them."""
        return Places(*(getattr(self, field.name)[positions] for field in fields(self)))

    @staticmethod
    def of(stored: "NDArray[np.void]") -> "Places":
        """The places of an array of the dtype PLACE."""
        return Places(
            stored["row"].astype(np.int64),
            stored["row_seq"].astype(np.int64),
            stored["record_offset"].astype(np.int64),
            stored["record_length"].astype(np.int64),
            stored["record_checksum"].astype(np.uint64),
            stored["vector_checksum"].astype(np.uint64),
        )


def fingerprints(ids: Iterable[bytes]) -> NDArray[np.uint64]:
    """The fingerprint of each id in UTF-8, uint64 (n, 2)."""
    digests = b"".join(hashlib.blake2b(name, digest_size=_FINGERPRINT_BYTES).digest() for name in ids)
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2)


def sampled_bounds(samples: NDArray[np.generic], keys: NDArray[np.generic], count: int) -> tuple[Rows, Rows]:
    """Between which of `count` entries those with each key are: starts and stops. `samples`: every 256th sort key."""
    starts = np.maximum(np.searchsorted(samples, keys, side="left") - 1, 0) * SAMPLE_STEP
    stops = np.minimum(np.searchsorted(samples, keys, side="right") * SAMPLE_STEP, count)
    return starts, stops


def lower_bounds(
    sort_keys: NDArray[np.generic], keys: NDArray[np.generic], starts: Rows, stops: Rows
) -> NDArray[np.int64]:
    """The first of the entries starts[i] … stops[i] − 1 whose sort key is at least keys[i]; stops[i] if there is none.

    Reads no other entries.
    """
    low, high = starts.copy(), stops.copy()
    while len(active := np.flatnonzero(low < high)):
        middle = (low[active] + high[active]) // 2
        is_less = sort_keys[middle] < keys[active]
        low[active[is_less]] = middle[is_less] + 1
        high[active[~is_less]] = middle[~is_less]
    return low
