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

from afterglow.collection.replica.indexing_progress import waiting
from afterglow.collection.replica.replica import FOLDS_AT_ONCE, Replica, View
from afterglow.errors import NotFound
from afterglow.jobs import gc, ttl_sweep
from afterglow.jobs.commit import LostRace
from afterglow.jobs.compact import compact
from afterglow.jobs.compaction_policy import Merge, plan, plan_rest, wholes
from afterglow.jobs.flush import fold
from afterglow.log import trim
from afterglow.segment.manifest import Manifest
from afterglow.settings import Settings
from afterglow.storage.ports import Stores

_log = logging.getLogger(__name__)

MayTake = Callable[[float], bool]
"""Whether a step may begin that is expected to take so many seconds."""

_FLOATS_PER_SECOND = 600_000
"""Components of vectors that a thread inserts into a graph in a second: 1,500 rows of 384; a slow core."""
_BYTES_PER_SECOND = 20_000_000
"""At which a step reads its inputs and writes its outputs, with all that is done to them."""
_LOST_FOLDS = 5
_SMALL = 1 / 16


@dataclass(slots=True)
class Report:
    """What one run did; `unfolded_ops` arrived meanwhile, or are left where time was short (`is_unfinished`).

    `is_mergeable`: there are segments to merge, which this run left to another. `wholes`: the names of the first inputs
    of merges that others may carry out beside this run's.
    """

    collection: UUID
    folded_ops: int = 0
    expired: int = 0
    merges: int = 0
    collected: int = 0
    unfolded_ops: int = 0
    is_unfinished: bool = False
    is_mergeable: bool = False
    wholes: list[str] = field(default_factory=list)


def always(seconds: float) -> bool:
    """There is time for everything."""
    del seconds
    return True


def index(stores: Stores, replica: Replica, collection_id: UUID, *, quiet: bool) -> Report:
    """Fold and merge one collection. `quiet`: nobody is writing to it, so merge further and give space back at once.

    Where much waits, folding goes on before anything is merged: it is ten times as fast, and the merge that follows
    inserts each row once, where merges in between would insert many again, and leave a copy of all for the past.

    A lost race against another indexer ends the run: the other one does the work. Raises Corrupt, Unavailable,
    StorageFull.
    """
    settings, report = stores.settings, Report(collection_id)
    first = True
    try:
        while True:
            view = replica.view()
            is_due = quiet or first or _waiting(view) >= settings.fold_ops
            if view.applied > view.manifest.folded and is_due:
                fold(stores, view)
                report.folded_ops, first = report.folded_ops + _waiting(view), False
                view = replica.view()
            merge = plan(view.manifest, settings, quiet=quiet)
            if merge is not None and _is_flood(stores, view):
                continue
            if merge is not None:
                compact(stores, view, merge)
                report.merges += 1
                report.collected += gc.collect(stores, collection_id)
            elif not is_due or view.applied == view.manifest.folded:
                reclaimed = ttl_sweep.reclaim(stores, replica, view)
                report.expired += reclaimed
                if not reclaimed:
                    break
    except LostRace:
        _log.info("another indexer works on collection %s", collection_id)
        return report
    except NotFound:
        return report
    report.unfolded_ops = _waiting(view)
    return _tidied(stores, view, report, trimmed=quiet)


def fold_tail(
    stores: Stores, replica: Replica, collection_id: UUID, *, up_to: int | None, may_take: MayTake = always
) -> Report:
    """Fold the log up to entry `up_to`, and on as long as much waits after it; None: to its end, as in quiet.

    Folds of another indexer, and its merges, are no reason to stop. Raises Corrupt, Unavailable, StorageFull.
    """
    settings, report, lost = stores.settings, Report(collection_id), 0
    try:
        while True:
            view = replica.view()
            is_due = up_to is None or view.manifest.folded < up_to or _waiting(view) >= settings.fold_ops
            if not is_due or view.applied == view.manifest.folded:
                reclaimed = ttl_sweep.reclaim(stores, replica, view)
                report.expired += reclaimed
                if not reclaimed:
                    break
                continue
            if not may_take(_fold_seconds(view)):
                report.is_unfinished = True
                break
            try:
                fold(stores, view)
                report.folded_ops += _waiting(view)
            except LostRace:
                lost += 1
                if lost == _LOST_FOLDS:
                    report.is_unfinished = True
                    break
    except NotFound:
        return report
    report.unfolded_ops = _waiting(view)
    if report.is_unfinished:
        return report
    report.is_mergeable = plan(view.manifest, settings, quiet=up_to is None, eager=True) is not None
    return _tidied(stores, view, report, trimmed=up_to is None)


def merge_segments(stores: Stores, collection_id: UUID, *, quiet: bool, may_take: MayTake = always) -> Report:
    """Merge until nothing is left to merge, beside whoever folds. A race lost to another merge ends the run.

    Where a bulk load has become several merges that need not wait for each other, they are reported and left alone.
    Raises Corrupt, Unavailable, StorageFull.
    """
    report = Report(collection_id)

    def planned(manifest: Manifest) -> Merge | None:
        report.wholes = [each.inputs[0].id for each in wholes(manifest, stores.settings)]
        return plan_rest(manifest, stores.settings, quiet=quiet, eager=True)

    return _merged(stores, report, planned, may_take)


def merge_whole(stores: Stores, collection_id: UUID, first: str, *, may_take: MayTake = always) -> Report:
    """Carry out the merge whose first input is segment `first`, where that is still to be done (`plan.wholes`).

    Raises Corrupt, Unavailable, StorageFull.
    """

    def planned(manifest: Manifest) -> Merge | None:
        return next((each for each in wholes(manifest, stores.settings) if each.inputs[0].id == first), None)

    return _merged(stores, Report(collection_id), planned, may_take)


def _merged(stores: Stores, report: Report, planned: Callable[[Manifest], Merge | None], may_take: MayTake) -> Report:
    replica = Replica.of_checkpoint(stores, report.collection)
    try:
        view = replica.view()
        while (merge := planned(view.manifest)) is not None:
            if not may_take(_merge_seconds(merge, stores.settings)):
                report.is_unfinished = True
                return report
            compact(stores, view, merge)
            report.merges += 1
            view = replica.view()
    except LostRace:
        _log.info("another indexer merges segments of collection %s", report.collection)
        return report
    except NotFound:
        return report
    return _tidied(stores, view, report, trimmed=False)


def _tidied(stores: Stores, view: View, report: Report, *, trimmed: bool) -> Report:
    if trimmed:
        trim.trim(stores, view.collection.id, view.manifest.trimmed, view.manifest.folded)
        trim.expire(stores, view.collection.id)
    report.collected += gc.collect(stores, view.collection.id)
    return report


def _is_flood(stores: Stores, view: View) -> bool:
    """Whether a fold waits that is worth waiting for: beside what is folded and has no graph, it is not small."""
    fold_ops = stores.settings.fold_ops
    if _waiting(view) < max(fold_ops, 1):
        return False
    flat = sum(each.live for each in view.manifest.segments if not each.has_graph)
    behind = waiting(stores, view.collection.id)
    return behind is not None and behind.ops > min(flat * _SMALL, FOLDS_AT_ONCE * fold_ops)


def _waiting(view: View) -> int:
    """Operations of the view that are not folded."""
    return view.ops - view.manifest.folded_ops


def _fold_seconds(view: View) -> float:
    tail = view.parts[len(view.manifest.segments) :]
    return 2 * sum(each.part.vectors.nbytes for each in tail) / _BYTES_PER_SECOND


def _merge_seconds(merge: Merge, settings: Settings) -> float:
    """Reading, writing, and inserting what the graph extended does not have."""
    size = sum(each.size for each in merge.inputs)
    inserted = sum(each.live * each.dimension for each in merge.inputs if each != merge.base) if merge.graph else 0
    return 2 * size / _BYTES_PER_SECOND + inserted / (_FLOATS_PER_SECOND * max(settings.build_threads, 1))
