"""Flush: an indexer writes its memtable and its deletions as a new checkpoint.

1. Catch up with the log.
2. Replace the entries that the *previous* flush covered by placeholders. Until now warm readers could replay them.
   *Crash after: the next flush finds the placeholders.*
3. Write the live rows of the memtable as a new segment without a graph, and deletion vectors for segments that lost
   rows. *Crash after: orphans that no manifest names.*
4. With time travel enabled: write the entries to the archive (`log.archive`). *Crash after: an archive with entries
   that are in the log too; the archive of the next flush overlaps it.*
5. Commit the manifest (`jobs.commit`). Readers with the previous checkpoint stay correct: they have applied those
   entries.
"""

from dataclasses import replace

import numpy as np

from afterglow.collection.replica.snapshot import Snapshot
from afterglow.jobs import ttl_sweep
from afterglow.jobs.commit import choose_format, commit_manifest
from afterglow.log import archive, trim
from afterglow.segment import manifest as manifests
from afterglow.segment import row_group, writer
from afterglow.segment.manifest import Manifest, SegmentInfo
from afterglow.segment.reader import Mask
from afterglow.segment.row_group import RowSubset
from afterglow.storage.ports import Stores


def flush(stores: Stores, snapshot: Snapshot) -> Manifest:
    """Write what the snapshot has beyond its checkpoint; the new manifest, or the current one if there is nothing.

    Raises CommitConflict, NotFound, StorageFull, Unavailable.
    """
    old = snapshot.manifest
    if snapshot.applied_seq == old.flushed_seq:
        return old
    stored_format = choose_format(stores)
    trimmed = old.flushed_seq
    trim.trim(stores, snapshot.collection.id, old.trimmed_seq, trimmed)
    prefix = manifests.segments_prefix(snapshot.collection.id)
    segments = []
    for info, group in zip(old.segments, snapshot.row_groups, strict=False):
        segments.extend(with_deletions(stores, prefix, info, group.deleted))
    if len(snapshot.row_groups) > len(old.segments):
        memtable = snapshot.row_groups[-1]
        rows = np.arange(memtable.rows.rows) if memtable.deleted is None else np.flatnonzero(~memtable.deleted)
        if len(rows):
            subsets = [RowSubset(memtable.rows, rows)]
            order = row_group.insertion_order(subsets)
            written = writer.write_segment(stores, prefix, subsets, order, None)
            segments.append(replace(written, purged_seq=snapshot.applied_seq))
    if len(snapshot.entries) != snapshot.applied_seq - old.flushed_seq:
        raise AssertionError("only a snapshot of an indexer's replica can be flushed")
    if stores.settings.retention_seconds:
        archive.store(stores, snapshot.collection.id, old.log_time, snapshot.entries)
    new = Manifest(
        collection=snapshot.collection.id,
        number=old.number + 1,
        flushed_seq=snapshot.applied_seq,
        flushed_ops=snapshot.applied_ops,
        log_time=snapshot.log_time,
        trimmed_seq=trimmed,
        next_row_seq=snapshot.next_row_seq,
        records=snapshot.records,
        segments=tuple(segments),
    )
    commit_manifest(
        stores,
        snapshot.collection.id,
        snapshot.collection.manifest_key,
        new,
        ttl_sweep.next_expiry(snapshot),
        stored_format=stored_format,
    )
    return new


def with_deletions(stores: Stores, prefix: str, info: SegmentInfo, mask: Mask | None) -> list[SegmentInfo]:
    """The segment with this deletion vector, which is written if it is new; nothing if every row is deleted."""
    count = 0 if mask is None else int(np.count_nonzero(mask))
    if count == info.rows:
        return []
    if mask is None or count == info.deleted_rows:
        return [info]
    return [replace(info, deletions=writer.write_deletions(stores, prefix, info, mask), deleted_rows=count)]
