"""Fold: a replica writes itself down.

1. Catch up with the log.
2. Turn the entries that the *previous* fold covered into stubs; they were replayable until now for warm readers.
   *Crash after: the next fold finds the stubs.*
3. Write the tail's live rows as a new segment, without a graph, and the tombstones of segments that lost rows.
   *Crash after: orphans that no manifest names.*
4. Where the past is kept: write the entries to the archive (`log.archive`). *Crash after: an archive that says what
   the log says too; the next fold's overlaps it.*
5. Publish the manifest (`jobs.commit`). Readers holding the older one stay right: they applied those entries.
"""

from dataclasses import replace

import numpy as np

from afterglow.collection.replica.replica import Snapshot
from afterglow.jobs import ttl_sweep
from afterglow.jobs.commit import commit_manifest
from afterglow.log import archive, trim
from afterglow.segment import manifest as manifests
from afterglow.segment import row_group as parts
from afterglow.segment import writer
from afterglow.segment.manifest import Manifest, SegmentInfo
from afterglow.segment.reader import Mask
from afterglow.segment.row_group import RowSubset
from afterglow.storage.ports import Stores


def flush(stores: Stores, view: Snapshot) -> Manifest:
    """Write down what the view has over its checkpoint; the new manifest, or the present one where there is nothing.

    Raises LostRace, StorageFull, Unavailable.
    """
    old = view.manifest
    if view.applied_seq == old.flushed_seq:
        return old
    trimmed = old.flushed_seq
    trim.trim(stores, view.collection.id, old.trimmed_seq, trimmed)
    prefix = manifests.segments_prefix(view.collection.id)
    segments = []
    for info, live in zip(old.segments, view.row_groups, strict=False):
        segments.extend(with_deletions(stores, prefix, info, live.deleted))
    if len(view.row_groups) > len(old.segments):
        tail = view.row_groups[-1]
        rows = np.arange(tail.rows.rows) if tail.deleted is None else np.flatnonzero(~tail.deleted)
        if len(rows):
            chosen = [RowSubset(tail.rows, rows)]
            order = parts.insertion_order(chosen)
            segments.append(writer.write_segment(stores, prefix, chosen, order, None))
    if len(view.entries) != view.applied_seq - old.flushed_seq:
        raise AssertionError("a view to be folded is one of an indexer's replica")
    if stores.settings.retention_seconds:
        archive.store(stores, view.collection.id, old.log_time, view.entries)
    new = Manifest(
        collection=view.collection.id,
        number=old.number + 1,
        flushed_seq=view.applied_seq,
        flushed_ops=view.applied_ops,
        log_time=view.log_time,
        trimmed_seq=trimmed,
        next_row_seq=view.next_row_seq,
        records=view.records,
        segments=tuple(segments),
    )
    commit_manifest(stores, view.collection.id, view.collection.manifest_key, new, ttl_sweep.next_expiry(view))
    return new


def with_deletions(stores: Stores, prefix: str, info: SegmentInfo, dead: Mask | None) -> list[SegmentInfo]:
    """The segment with these tombstones: written where they are new; no segment where every row is dead."""
    count = 0 if dead is None else int(np.count_nonzero(dead))
    if count == info.rows:
        return []
    if dead is None or count == info.deleted_rows:
        return [info]
    return [replace(info, deletions=writer.write_deletions(stores, prefix, info, dead), deleted_rows=count)]
