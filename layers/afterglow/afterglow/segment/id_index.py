"""Finding rows by record id: xxh3-64 hashes, sorted, with the row of each."""

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
    return np.fromiter((digest(each.encode()) for each in ids), dtype=np.uint64, count=len(ids))


def build(ids: StringColumn) -> tuple[Hashes, NDArray[np.uint32]]:
    """The hashes of all rows' ids in ascending order, and the row of each."""
    return build_from_utf8((ids.get(row) or b"" for row in range(len(ids))), len(ids))


def build_from_utf8(ids: Iterable[bytes], count: int) -> tuple[Hashes, NDArray[np.uint32]]:
    """The same of so many ids in UTF-8, in the order of their rows."""
    digest = xxhash.xxh3_64_intdigest
    hashes = np.fromiter(map(digest, ids), dtype=np.uint64, count=count)
    order = np.argsort(hashes, kind="stable")
    return hashes[order], order.astype(np.uint32)


def lookup(
    ids: StringColumn, sorted_hashes: Hashes, rows: NDArray[np.uint32], wanted: Sequence[str], wanted_hashes: Hashes
) -> NDArray[np.int64]:
    """The last row of each wanted id, `MISSING` where there is none.

    An id has several rows where a graph was extended over a dead row: only the last one may be alive.
    """
    found = np.full(len(wanted), MISSING, dtype=np.int64)
    begins = np.searchsorted(sorted_hashes, wanted_hashes, side="left")
    inside = np.flatnonzero(begins < len(sorted_hashes))
    hits = inside[sorted_hashes[begins[inside]] == wanted_hashes[inside]]
    for position in hits.tolist():
        wanted_bytes, slot = wanted[position].encode(), int(begins[position])
        while slot < len(sorted_hashes) and sorted_hashes[slot] == wanted_hashes[position]:
            if ids.get(int(rows[slot])) == wanted_bytes:
                found[position] = max(found[position], int(rows[slot]))
            slot += 1
    return found
