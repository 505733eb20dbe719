"""A run of `revision_history`: the entries that follow the last run, some at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from afterglow.catalog.model import AttachedFunction
from afterglow.collection.changes.reader import ChangeReader
from afterglow.collection.read import rows as fetch
from afterglow.collection.replica.checkpoint import OpenCheckpoint, open_checkpoint
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Scope, Selection
from afterglow.errors import PositionExpired
from afterglow.jobs.revision_history.changes import Logged, changes_of
from afterglow.jobs.revision_history.output import FIELDS, PAGE, History
from afterglow.jobs.revision_history.revisions import Change, version_key
from afterglow.log.read import LogTrimmed
from afterglow.segment import manifest as manifests
from afterglow.storage.ports import ObjectNotFound, Stores

_WINDOW_RECORDS = 10_000
_WINDOW_BYTES = 32 * 1024 * 1024
"""Records and bytes in the entries that are applied at a time."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The output holds the log up to entry `position`; `written` records were written for it."""

    position: int
    written: int


def run(stores: Stores, snapshot: Snapshot, function: AttachedFunction, output: Scope) -> Iterator[Progress]:
    """Bring the output up to the snapshot, step by step.

    Raises NotFound for the output, LimitExceeded, Busy, Corrupt, Unavailable, StorageFull.
    """
    history = History(stores, output, version_key(function.params))
    try:
        yield from _replay(stores, snapshot, function.completion_offset, history)
    except (PositionExpired, ObjectNotFound, LogTrimmed):
        yield Progress(snapshot.applied_seq, _compare(snapshot, history))


def _replay(stores: Stores, snapshot: Snapshot, position: int, history: History) -> Iterator[Progress]:
    """Steps 1 to 4. Raises PositionExpired, ObjectNotFound, LogTrimmed, and what a write raises."""
    checkpoint = _open_before(stores, snapshot, position)
    logged = ChangeReader(stores).entries(snapshot.collection.id, checkpoint.applied_seq, snapshot.applied_seq)
    for window in _windows(logged, position):
        end = window[-1][0].seq
        if end > position:
            yield Progress(end, history.write(changes_of(checkpoint, window)))
        if end < snapshot.applied_seq:
            checkpoint.apply(window)


def _open_before(stores: Stores, snapshot: Snapshot, position: int) -> OpenCheckpoint:
    collection = snapshot.collection
    listed = map(manifests.parse_key, manifests.list_keys(stores.objects, collection.id))
    earlier = [ref for ref in listed if ref.flushed_seq <= position]
    newest = max(earlier, key=lambda ref: (ref.flushed_seq, ref.number), default=None)
    return open_checkpoint(stores, collection, None if newest is None else newest.key, {})


def _windows(logged: Iterator[Logged], position: int) -> Iterator[Sequence[Logged]]:
    """The entries in runs of a bounded size; none holds entries from before and after the position."""
    window: list[Logged] = []
    records = size = 0
    for entry, batches in logged:
        window.append((entry, batches))
        records, size = records + entry.op_count, size + entry.byte_size
        if records >= _WINDOW_RECORDS or size >= _WINDOW_BYTES or entry.seq == position:
            yield window
            window, records, size = [], 0, 0
    if window:
        yield window


def _compare(snapshot: Snapshot, history: History) -> int:
    """A revision for each record that differs from its last one; the records written."""
    time, seq = snapshot.log_time // 1000, snapshot.applied_seq
    groups, rows = fetch.in_insertion_order(snapshot, fetch.selection_masks(snapshot, Selection()))
    live: set[str] = set()
    written = 0
    for start in range(0, len(rows), PAGE):
        records = fetch.materialize(snapshot, groups[start : start + PAGE], rows[start : start + PAGE], FIELDS)
        found = zip(records.ids, records.documents or [], records.metadatas or [], strict=True)
        changes = [Change(seq, time, name, document, orjson.loads(data or b"{}")) for name, document, data in found]
        live.update(records.ids)
        written += history.write(changes, only_differences=True)
    missing = [name for name in history.record_ids() if name not in live]
    changes = [Change(seq, time, name, None, {}, is_delete=True) for name in missing]
    return written + history.write(changes, only_differences=True)
