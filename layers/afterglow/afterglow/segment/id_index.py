"""Lookup of rows by record id: sorted xxh3-64 hashes, with the row of each."""

from collections.abc import Iterable, Sequence

import numpy as np
import xxhash
from numpy.typing import NDArray

from afterglow.columns.string_column import StringColumn

Hashes = NDArray[np.uint64]
MISSING = -1


def hash_ids(ids: Sequence[str]) -> Hashes:
    """The hash of each id, uint64 (n,)."""
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(name.encode()) for name in ids), dtype=np.uint64, count=len(ids))


def build(ids: StringColumn) -> tuple[Hashes, NDArray[np.uint32]]:
    """The hashes of all rows' ids in ascending order, and the row of each."""
    return build_from_utf8((ids.get(row) or b"" for row in range(len(ids))), len(ids))


def build_from_utf8(ids: Iterable[bytes], count: int) -> tuple[Hashes, NDArray[np.uint32]]:
    """The same for `count` ids in UTF-8, in row order."""
    digest = xxhash.xxh3_64_intdigest
    hashes = np.fromiter(map(digest, ids), dtype=np.uint64, count=count)
    order = np.argsort(hashes, kind="stable")
    return hashes[order], order.astype(np.uint32)


def lookup(
    ids: StringColumn, sorted_hashes: Hashes, rows: NDArray[np.uint32], targets: Sequence[str], target_hashes: Hashes
) -> NDArray[np.int64]:
    """The last row of each target id, `MISSING` where there is none.

    An id has several rows if a graph was extended over a deleted row: only the last one may be live.
    """
    result = np.full(len(targets), MISSING, dtype=np.int64)
    starts = np.searchsorted(sorted_hashes, target_hashes, side="left")
    in_range = np.flatnonzero(starts < len(sorted_hashes))
    hits = in_range[sorted_hashes[starts[in_range]] == target_hashes[in_range]]
    # One at a time, a memory view gives numbers in a fraction of an array's time.
    hashes, row_of_slot, count = sorted_hashes.data, rows.data, len(sorted_hashes)
    for position, slot, target_hash in zip(
        hits.tolist(), starts[hits].tolist(), target_hashes[hits].tolist(), strict=True
    ):
        target, last = targets[position].encode(), MISSING
        while slot < count and hashes[slot] == target_hash:
            row = row_of_slot[slot]
            if row > last and ids.get(row) == target:
                last = row
            slot += 1  # noqa: PLW2901  the next of equal hashes
        result[position] = last
    return result


def are_present(sorted_hashes: Hashes, target_hashes: Hashes) -> NDArray[np.bool_]:
    """Whether each target is among the hashes."""
    slots = np.minimum(np.searchsorted(sorted_hashes, target_hashes), len(sorted_hashes) - 1)
    found: NDArray[np.bool_] = sorted_hashes[slots] == target_hashes
    return found
