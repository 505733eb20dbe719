"""Checks the live rows of a collection: unique ids and insertion sequence numbers, as many rows as are claimed."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.segment import id_index

_MAX_REPEATED_IDS = 3


def check_rows(groups: Sequence[RowGroupView], records: int, next_row_seq: int, source: str) -> list[str]:
    """Problems of the live rows, compared with the claims of `source`."""
    problems = []
    rows = [_live_rows(group) for group in groups]
    count = sum(map(len, rows))
    if count != records:
        problems.append(f"{source} claims {records} records, there are {count}")
    problems += [
        f"{source}: record id {record_id!r} is not unique"
        for record_id in _repeated_ids(groups, rows)[:_MAX_REPEATED_IDS]
    ]
    own = [group.rows.row_seqs[live] for group, live in zip(groups, rows, strict=True)]
    row_seqs = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *own]))
    if (row_seqs[1:] == row_seqs[:-1]).any():
        problems.append(f"{source}: an insertion sequence number is not unique")
    if len(row_seqs) and row_seqs[-1] >= next_row_seq:
        problems.append(
            f"{source}: insertion sequence number {int(row_seqs[-1])} is not below the next one, {next_row_seq}"
        )
    return problems


def _live_rows(group: RowGroupView) -> NDArray[np.int64]:
    return np.arange(group.rows.rows) if group.deleted is None else np.flatnonzero(~group.deleted)


def _repeated_ids(groups: Sequence[RowGroupView], rows: Sequence[NDArray[np.int64]]) -> list[str]:
    """The ids of more than one live row. Only rows whose hashes repeat are compared."""
    live_hashes: list[NDArray[np.uint64]] = [np.empty(0, dtype=np.uint64)]
    for group, live in zip(groups, rows, strict=True):
        hashes, hash_rows = id_index.build(group.rows.ids)
        live_hashes.append(hashes[np.isin(hash_rows, live)])
    sorted_hashes = np.sort(np.concatenate(live_hashes))
    suspects = np.unique(sorted_hashes[1:][sorted_hashes[1:] == sorted_hashes[:-1]])
    if not len(suspects):
        return []
    counts: Counter[str] = Counter()
    for group, live in zip(groups, rows, strict=True):
        hashes, hash_rows = id_index.build(group.rows.ids)
        suspected = np.intersect1d(hash_rows[np.isin(hashes, suspects)], live)
        counts.update((value or b"").decode() for value in group.rows.ids.take(suspected))
    return sorted(record_id for record_id, count in counts.items() if count > 1)
