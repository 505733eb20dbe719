"""The indexer brings one checkpoint up to date: flush, compact until nothing is left, delete expired records, clean up.

`index` does all of it in sequence, for a caller that is alone. `flush_log` and `compact_segments` (or
`compact_all_segments`, without parts for others) are its two halves, which run concurrently: a compaction may take
minutes, and no flush should have to wait for it.

Where time is limited, as in a Lambda function, `may_take` decides before each step whether there is time for it; if
not, the run ends between two steps with `is_unfinished`, and the caller continues in a later run. A run that is killed
instead leaves what a crash leaves: see `jobs.flush` and `jobs.compact`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from afterglow.collection.replica.checkpoint import MAX_CONCURRENT_FLUSHES
from afterglow.collection.replica.indexing_progress import unflushed
from afterglow.collection.replica.replica import Replica
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.errors import NotFound
from afterglow.jobs import functions, gc, rewrite, ttl_sweep
from afterglow.jobs.commit import CommitConflict
from afterglow.jobs.compact import compact
from afterglow.jobs.compaction_policy import (
    Compaction,
    independent_compactions,
    next_compaction,
    next_remaining,
)
from afterglow.jobs.flush import flush
from afterglow.jobs.time_budget import TimeBudget, compaction_seconds, flush_seconds, no_time_limit
from afterglow.log import trim
from afterglow.segment.manifest import Manifest, live_rows
from afterglow.settings import Settings
from afterglow.storage.ports import Stores

_log = logging.getLogger(__name__)

_MAX_FLUSH_CONFLICTS = 5
_SMALL_BACKLOG = 1 / 16


@dataclass(slots=True)
class IndexReport:
    """The result of one run.

    `unflushed_ops` arrived during the run, or remain because time was short (`is_unfinished`). `needs_compaction`: this
    run left segments for another to compact. `independent_compactions`: the ids of the first inputs of compactions that
    others may run concurrently. `outputs`: the ids of the collections that attached functions have written.
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
    outputs: list[str] = field(default_factory=list)


def index(stores: Stores, replica: Replica, collection_id: UUID, *, idle: bool) -> IndexReport:
    """Flush and compact one collection. `idle`: it is not being written, so compact further and reclaim space now.

    With a large backlog, flushes continue before any compaction: a flush is ten times as fast, and the compaction after
    it inserts each row once, where compactions in between would insert many rows again, and leave a copy of all of them
    for time travel.

    A conflict with another indexer ends the run: the other one does the work. Raises Corrupt, Unavailable, StorageFull.
    """
    settings, report = stores.settings, IndexReport(collection_id)
    first = True
    try:
        while True:
            snapshot = replica.snapshot()
            is_due = idle or first or _unflushed(snapshot) >= settings.flush_ops
            if snapshot.applied_seq > snapshot.manifest.flushed_seq and is_due:
                flush(stores, snapshot)
                report.flushed_ops, first = report.flushed_ops + _unflushed(snapshot), False
                snapshot = replica.snapshot()
            compaction = _next_compaction(snapshot, settings, idle=idle)
            if compaction is not None and _has_large_backlog(stores, snapshot):
                continue
            if compaction is not None:
                compact(stores, snapshot, compaction)
                report.compactions += 1
                report.collected += gc.collect_garbage(stores, collection_id)
            elif not is_due or snapshot.applied_seq == snapshot.manifest.flushed_seq:
                expired = ttl_sweep.delete_expired(stores, replica, snapshot)
                report.expired += expired
                if not expired:
                    break
    except CommitConflict:
        _log.info("another indexer works on collection %s", collection_id)
        return report
    except NotFound:
        return report
    report.unflushed_ops = _unflushed(snapshot)
    _run_function(stores, snapshot, report, no_time_limit)
    return _clean_up(stores, snapshot, report, trimmed=idle)


def flush_log(
    stores: Stores,
    replica: Replica,
    collection_id: UUID,
    *,
    up_to: int | None,
    may_take: TimeBudget = no_time_limit,
    collects: bool = True,
) -> IndexReport:
    """Flush the log up to entry `up_to`, and further while there is a backlog; None: to its end, as when idle.

    With `collects`, collect garbage afterwards: not where a compaction may be at work in the same directory.

    Conflicts with flushes and compactions of another indexer do not end the run; `_MAX_FLUSH_CONFLICTS` of them do.
    Raises Corrupt, Unavailable, StorageFull.
    """
    settings, report, conflicts = stores.settings, IndexReport(collection_id), 0
    try:
        while True:
            snapshot = replica.snapshot()
            is_due = (
                up_to is None or snapshot.manifest.flushed_seq < up_to or _unflushed(snapshot) >= settings.flush_ops
            )
            if not is_due or snapshot.applied_seq == snapshot.manifest.flushed_seq:
                expired = ttl_sweep.delete_expired(stores, replica, snapshot)
                report.expired += expired
                if not expired:
                    break
                continue
            if not may_take(flush_seconds(snapshot)):
                report.is_unfinished = True
                break
            try:
                flush(stores, snapshot)
                report.flushed_ops += _unflushed(snapshot)
            except CommitConflict:
                conflicts += 1
                if conflicts == _MAX_FLUSH_CONFLICTS:
                    report.is_unfinished = True
                    break
    except NotFound:
        return report
    report.unflushed_ops = _unflushed(snapshot)
    if report.is_unfinished:
        return report
    report.needs_compaction = _next_compaction(snapshot, settings, idle=up_to is None, eager=True) is not None
    _run_function(stores, snapshot, report, may_take)
    return _clean_up(stores, snapshot, report, trimmed=up_to is None, collects=collects)


def _next_compaction(snapshot: Snapshot, settings: Settings, *, idle: bool, eager: bool = False) -> Compaction | None:
    """What an erasure rewrites next, else the next compaction of the policy; None if there is neither."""
    erasing = rewrite.next_rewrite(snapshot, settings)
    return erasing or next_compaction(snapshot.manifest, settings, idle=idle, eager=eager)


def compact_segments(
    stores: Stores, collection_id: UUID, *, idle: bool, may_take: TimeBudget = no_time_limit
) -> IndexReport:
    """Compact until nothing is left, concurrently with flushes. A conflict with another compaction ends the run.

    The independent compactions of a bulk load are reported and not run. Raises Corrupt, Unavailable, StorageFull.
    """
    report = IndexReport(collection_id)

    def plan(manifest: Manifest) -> Compaction | None:
        report.independent_compactions = [
            compaction.inputs[0].id for compaction in independent_compactions(manifest, stores.settings)
        ]
        return next_remaining(manifest, stores.settings, idle=idle, eager=True)

    return _compact(stores, report, plan, may_take)


def compact_all_segments(stores: Stores, collection_id: UUID, *, idle: bool) -> IndexReport:
    """Compact stepwise until nothing is left, concurrently with flushes; without a collection of garbage.

    A conflict with another compaction ends the run. Raises Corrupt, Unavailable, StorageFull.
    """

    def plan(manifest: Manifest) -> Compaction | None:
        return next_compaction(manifest, stores.settings, idle=idle, stepwise=True)

    return _compact(stores, IndexReport(collection_id), plan, no_time_limit, collects=False)


def run_compaction(
    stores: Stores, collection_id: UUID, first: str, *, may_take: TimeBudget = no_time_limit
) -> IndexReport:
    """Run the independent compaction whose first input is segment `first`, if it is not done yet.

    Raises Corrupt, Unavailable, StorageFull.
    """

    def plan(manifest: Manifest) -> Compaction | None:
        return next(
            (
                compaction
                for compaction in independent_compactions(manifest, stores.settings)
                if compaction.inputs[0].id == first
            ),
            None,
        )

    return _compact(stores, IndexReport(collection_id), plan, may_take)


def _compact(
    stores: Stores,
    report: IndexReport,
    plan: Callable[[Manifest], Compaction | None],
    may_take: TimeBudget,
    *,
    collects: bool = True,
) -> IndexReport:
    replica = Replica.from_checkpoint(stores, report.collection)
    try:
        snapshot = replica.snapshot()
        while (compaction := rewrite.next_rewrite(snapshot, stores.settings) or plan(snapshot.manifest)) is not None:
            if not may_take(compaction_seconds(compaction, stores.settings)):
                report.is_unfinished = True
                return report
            compact(stores, snapshot, compaction)
            report.compactions += 1
            snapshot = replica.snapshot()
    except CommitConflict:
        _log.info("another indexer compacts collection %s", report.collection)
        return report
    except NotFound:
        return report
    return _clean_up(stores, snapshot, report, trimmed=False, collects=collects)


def _run_function(stores: Stores, snapshot: Snapshot, report: IndexReport, may_take: TimeBudget) -> None:
    if not functions.is_due(snapshot.collection, snapshot.applied_seq):
        return
    if not may_take(functions.estimated_seconds(snapshot)):
        # The next flush, with more time left, tries again: a message that failed for it would hold up flushes.
        _log.warning("no time is left for the function of collection %s", report.collection)
        return
    output = functions.run_function(stores, snapshot)
    if output is not None:
        report.outputs.append(str(output))


def _clean_up(
    stores: Stores, snapshot: Snapshot, report: IndexReport, *, trimmed: bool, collects: bool = True
) -> IndexReport:
    if trimmed:
        trim.trim(stores, snapshot.collection.id, snapshot.manifest.trimmed_seq, snapshot.manifest.flushed_seq)
    rewrite.settle(stores, snapshot)
    if collects:
        report.collected += gc.collect_garbage(stores, snapshot.collection.id)
    return report


def _has_large_backlog(stores: Stores, snapshot: Snapshot) -> bool:
    """Whether to flush before compacting: the backlog is not small compared with the rows that have no graph yet."""
    flush_ops = stores.settings.flush_ops
    if _unflushed(snapshot) < max(flush_ops, 1):
        return False
    unindexed = live_rows(segment for segment in snapshot.manifest.segments if not segment.is_indexed)
    backlog = unflushed(stores, snapshot.collection.id)
    return backlog is not None and backlog.ops > min(unindexed * _SMALL_BACKLOG, MAX_CONCURRENT_FLUSHES * flush_ops)


def _unflushed(snapshot: Snapshot) -> int:
    """Operations of the snapshot beyond its checkpoint."""
    return snapshot.applied_ops - snapshot.manifest.flushed_ops
