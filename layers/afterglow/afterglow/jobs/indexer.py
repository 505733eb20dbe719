"""Bringing one checkpoint up to date: fold, merge until nothing is left to merge, delete what expired, tidy.

`index` does all of it, one after the other, as the indexer of one machine does. `fold_tail` and `merge_segments` are
its halves, for indexers that do them side by side: a merge may take minutes, and no fold should have to wait for it.

Where time is short, as in a Lambda function, `may_take` is asked before each step whether there is time for it; where
there is not, the run ends between two steps with `is_unfinished`, and whoever called goes on in a later one. A run that
is killed instead leaves what a crash leaves: see `jobs.flush` and `jobs.compact`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from afterglow.collection.replica.indexing_progress import unflushed
from afterglow.collection.replica.replica import MAX_CONCURRENT_FLUSHES, Replica, Snapshot
from afterglow.errors import NotFound
from afterglow.jobs import gc, ttl_sweep
from afterglow.jobs.commit import CommitConflict
from afterglow.jobs.compact import compact
from afterglow.jobs.compaction_policy import Compaction, independent_compactions, next_compaction, next_remaining
from afterglow.jobs.flush import flush
from afterglow.log import trim
from afterglow.segment.manifest import Manifest
from afterglow.settings import Settings
from afterglow.storage.ports import Stores

_log = logging.getLogger(__name__)

TimeBudget = Callable[[float], bool]
"""Whether a step may begin that is expected to take so many seconds."""

_FLOATS_PER_SECOND = 600_000
"""Components of vectors that a thread inserts into a graph in a second: 1,500 rows of 384; a slow core."""
_BYTES_PER_SECOND = 20_000_000
"""At which a step reads its inputs and writes its outputs, with all that is done to them."""
_MAX_FLUSH_CONFLICTS = 5
_SMALL = 1 / 16


@dataclass(slots=True)
class IndexReport:
    """What one run did; `unfolded_ops` arrived meanwhile, or are left where time was short (`is_unfinished`).

    `is_mergeable`: there are segments to merge, which this run left to another. `wholes`: the names of the first inputs
    of merges that others may carry out beside this run's.
    """

    collection: UUID
    flushed_ops: int = 0
    expired: int = 0
    compactions: int = 0
    collected: int = 0
    unflushed_ops: int = 0
    is_unfinished: bool = False
    needs_compaction: bool = False
    independent_compactions: list[str] = field(default_factory=list)


def no_time_limit(seconds: float) -> bool:
    """There is time for everything."""
    del seconds
    return True


def index(stores: Stores, replica: Replica, collection_id: UUID, *, idle: bool) -> IndexReport:
    """Fold and merge one collection. `quiet`: nobody is writing to it, so merge further and give space back at once.

    Where much waits, folding goes on before anything is merged: it is ten times as fast, and the merge that follows
    inserts each row once, where merges in between would insert many again, and leave a copy of all for the past.

    A lost race against another indexer ends the run: the other one does the work. Raises Corrupt, Unavailable,
    StorageFull.
    """
    settings, report = stores.settings, IndexReport(collection_id)
    first = True
    try:
        while True:
            view = replica.snapshot()
            is_due = idle or first or _unflushed(view) >= settings.flush_ops
            if view.applied_seq > view.manifest.flushed_seq and is_due:
                flush(stores, view)
                report.flushed_ops, first = report.flushed_ops + _unflushed(view), False
                view = replica.snapshot()
            merge = next_compaction(view.manifest, settings, quiet=idle)
            if merge is not None and _has_large_backlog(stores, view):
                continue
            if merge is not None:
                compact(stores, view, merge)
                report.compactions += 1
                report.collected += gc.collect_garbage(stores, collection_id)
            elif not is_due or view.applied_seq == view.manifest.flushed_seq:
                reclaimed = ttl_sweep.delete_expired(stores, replica, view)
                report.expired += reclaimed
                if not reclaimed:
                    break
    except CommitConflict:
        _log.info("another indexer works on collection %s", collection_id)
        return report
    except NotFound:
        return report
    report.unflushed_ops = _unflushed(view)
    return _clean_up(stores, view, report, trimmed=idle)


def flush_log(
    stores: Stores, replica: Replica, collection_id: UUID, *, up_to: int | None, may_take: TimeBudget = no_time_limit
) -> IndexReport:
    """Fold the log up to entry `up_to`, and on as long as much waits after it; None: to its end, as in quiet.

    Folds of another indexer, and its merges, are no reason to stop. Raises Corrupt, Unavailable, StorageFull.
    """
    settings, report, lost = stores.settings, IndexReport(collection_id), 0
    try:
        while True:
            view = replica.snapshot()
            is_due = up_to is None or view.manifest.flushed_seq < up_to or _unflushed(view) >= settings.flush_ops
            if not is_due or view.applied_seq == view.manifest.flushed_seq:
                reclaimed = ttl_sweep.delete_expired(stores, replica, view)
                report.expired += reclaimed
                if not reclaimed:
                    break
                continue
            if not may_take(_flush_seconds(view)):
                report.is_unfinished = True
                break
            try:
                flush(stores, view)
                report.flushed_ops += _unflushed(view)
            except CommitConflict:
                lost += 1
                if lost == _MAX_FLUSH_CONFLICTS:
                    report.is_unfinished = True
                    break
    except NotFound:
        return report
    report.unflushed_ops = _unflushed(view)
    if report.is_unfinished:
        return report
    report.needs_compaction = next_compaction(view.manifest, settings, quiet=up_to is None, eager=True) is not None
    return _clean_up(stores, view, report, trimmed=up_to is None)


def compact_segments(
    stores: Stores, collection_id: UUID, *, quiet: bool, may_take: TimeBudget = no_time_limit
) -> IndexReport:
    """Merge until nothing is left to merge, beside whoever folds. A race lost to another merge ends the run.

    Where a bulk load has become several merges that need not wait for each other, they are reported and left alone.
    Raises Corrupt, Unavailable, StorageFull.
    """
    report = IndexReport(collection_id)

    def planned(manifest: Manifest) -> Compaction | None:
        report.independent_compactions = [
            each.inputs[0].id for each in independent_compactions(manifest, stores.settings)
        ]
        return next_remaining(manifest, stores.settings, quiet=quiet, eager=True)

    return _compact(stores, report, planned, may_take)


def run_compaction(
    stores: Stores, collection_id: UUID, first: str, *, may_take: TimeBudget = no_time_limit
) -> IndexReport:
    """Carry out the merge whose first input is segment `first`, where that is still to be done (`plan.wholes`).

    Raises Corrupt, Unavailable, StorageFull.
    """

    def planned(manifest: Manifest) -> Compaction | None:
        return next(
            (each for each in independent_compactions(manifest, stores.settings) if each.inputs[0].id == first), None
        )

    return _compact(stores, IndexReport(collection_id), planned, may_take)


def _compact(
    stores: Stores, report: IndexReport, planned: Callable[[Manifest], Compaction | None], may_take: TimeBudget
) -> IndexReport:
    replica = Replica.from_checkpoint(stores, report.collection)
    try:
        view = replica.snapshot()
        while (merge := planned(view.manifest)) is not None:
            if not may_take(_compaction_seconds(merge, stores.settings)):
                report.is_unfinished = True
                return report
            compact(stores, view, merge)
            report.compactions += 1
            view = replica.snapshot()
    except CommitConflict:
        _log.info("another indexer merges segments of collection %s", report.collection)
        return report
    except NotFound:
        return report
    return _clean_up(stores, view, report, trimmed=False)


def _clean_up(stores: Stores, view: Snapshot, report: IndexReport, *, trimmed: bool) -> IndexReport:
    if trimmed:
        trim.trim(stores, view.collection.id, view.manifest.trimmed_seq, view.manifest.flushed_seq)
        trim.delete_expired_placeholders(stores, view.collection.id)
    report.collected += gc.collect_garbage(stores, view.collection.id)
    return report


def _has_large_backlog(stores: Stores, view: Snapshot) -> bool:
    """Whether a fold waits that is worth waiting for: beside what is folded and has no graph, it is not small."""
    fold_ops = stores.settings.flush_ops
    if _unflushed(view) < max(fold_ops, 1):
        return False
    flat = sum(each.live_rows for each in view.manifest.segments if not each.has_graph)
    behind = unflushed(stores, view.collection.id)
    return behind is not None and behind.ops > min(flat * _SMALL, MAX_CONCURRENT_FLUSHES * fold_ops)


def _unflushed(view: Snapshot) -> int:
    """Operations of the view that are not folded."""
    return view.applied_ops - view.manifest.flushed_ops


def _flush_seconds(view: Snapshot) -> float:
    tail = view.row_groups[len(view.manifest.segments) :]
    return 2 * sum(each.rows.vectors.nbytes for each in tail) / _BYTES_PER_SECOND


def _compaction_seconds(merge: Compaction, settings: Settings) -> float:
    """Reading, writing, and inserting what the graph extended does not have."""
    size = sum(each.size for each in merge.inputs)
    inserted = sum(each.live_rows * each.dimension for each in merge.inputs if each != merge.base) if merge.graph else 0
    return 2 * size / _BYTES_PER_SECOND + inserted / (_FLOATS_PER_SECOND * max(settings.compaction_threads, 1))
