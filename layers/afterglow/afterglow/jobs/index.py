"""Bringing one collection's checkpoint up to date: fold, then merge until nothing is left to merge, then tidy.

Where time is short, as in a Lambda function, `may_take` is asked before each step whether there is time for it; where
there is not, the run ends between two steps with `is_unfinished`, and whoever called goes on in a later one. A run that
is killed instead leaves what a crash leaves: see `jobs.fold` and `jobs.compact`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from afterglow.collection.replica import Replica
from afterglow.errors import NotFound
from afterglow.jobs import garbage
from afterglow.jobs.compact import compact
from afterglow.jobs.fold import fold
from afterglow.jobs.plan import Merge, plan
from afterglow.jobs.publish import LostRace
from afterglow.log import trim
from afterglow.settings import Settings
from afterglow.storage.stores import Stores

_log = logging.getLogger(__name__)

MayTake = Callable[[float], bool]
"""Whether a step may begin that is expected to take so many seconds."""

_FLOATS_PER_SECOND = 600_000
"""Components of vectors that a thread inserts into a graph in a second: 1,500 rows of 384; a slow core."""
_BYTES_PER_SECOND = 20_000_000
"""At which a step reads its inputs and writes its outputs, with all that is done to them."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one run did; `unfolded_ops` arrived meanwhile, or are left where time was short (`is_unfinished`)."""

    collection: UUID
    folded_ops: int = 0
    merges: int = 0
    collected: int = 0
    unfolded_ops: int = 0
    is_unfinished: bool = False


def always(seconds: float) -> bool:
    """There is time for everything."""
    del seconds
    return True


def index(stores: Stores, replica: Replica, collection_id: UUID, *, quiet: bool, may_take: MayTake = always) -> Report:
    """Fold and merge one collection. `quiet`: nobody is writing to it, so merge further and give space back at once.

    A lost race against another indexer ends the run: the other one does the work. Raises Corrupt, Unavailable,
    StorageFull.
    """
    settings = stores.settings
    folded = merges = collected = 0
    first, is_unfinished = True, False
    try:
        while True:
            view = replica.view()
            waiting = view.ops - view.manifest.folded_ops
            is_due = quiet or first or waiting >= settings.fold_ops
            if view.applied > view.manifest.folded and is_due:
                if not may_take(_fold_seconds(view.parts[-1].part.vectors.nbytes if view.parts else 0)):
                    is_unfinished = True
                    break
                fold(stores, view)
                folded, first = folded + waiting, False
                view = replica.view()
            merge = plan(view.manifest, settings, quiet=quiet)
            if merge is not None:
                if not may_take(_merge_seconds(merge, settings)):
                    is_unfinished = True
                    break
                compact(stores, view, merge)
                merges, collected = merges + 1, collected + garbage.collect(stores, collection_id)
            elif not is_due or view.applied == view.manifest.folded:
                break
    except LostRace:
        _log.info("another indexer works on collection %s", collection_id)
        return Report(collection_id, folded, merges, collected)
    except NotFound:
        return Report(collection_id, folded, merges, collected)
    manifest = view.manifest
    if quiet and not is_unfinished:
        trim.trim(stores, collection_id, manifest.trimmed, manifest.folded)
        trim.expire(stores, collection_id)
    if not is_unfinished:
        collected += garbage.collect(stores, collection_id)
    return Report(collection_id, folded, merges, collected, view.ops - manifest.folded_ops, is_unfinished)


def _fold_seconds(vector_bytes: int) -> float:
    return 2 * vector_bytes / _BYTES_PER_SECOND


def _merge_seconds(merge: Merge, settings: Settings) -> float:
    """Reading, writing, and inserting what the graph extended does not have."""
    size = sum(each.size for each in merge.inputs)
    inserted = sum(each.live * each.dimension for each in merge.inputs if each != merge.base) if merge.graph else 0
    return 2 * size / _BYTES_PER_SECOND + inserted / (_FLOATS_PER_SECOND * max(settings.build_threads, 1))
