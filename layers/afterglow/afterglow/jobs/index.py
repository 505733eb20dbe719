"""Bringing one collection's checkpoint up to date: fold, then merge until nothing is left to merge, then tidy."""

import logging
from dataclasses import dataclass
from uuid import UUID

from afterglow.collection.replica import Replica
from afterglow.errors import NotFound
from afterglow.jobs import garbage
from afterglow.jobs.compact import compact
from afterglow.jobs.fold import fold
from afterglow.jobs.plan import plan
from afterglow.jobs.publish import LostRace
from afterglow.log import trim
from afterglow.storage.stores import Stores

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """What one run did; `unfolded_ops` arrived meanwhile."""

    collection: UUID
    folded_ops: int = 0
    merges: int = 0
    collected: int = 0
    unfolded_ops: int = 0


def index(stores: Stores, replica: Replica, collection_id: UUID, *, quiet: bool) -> Report:
    """Fold and merge one collection. `quiet`: nobody is writing to it, so merge further and give space back at once.

    A lost race against another indexer ends the run: the other one does the work. Raises Corrupt, Unavailable,
    StorageFull.
    """
    folded = merges = collected = 0
    first = True
    try:
        while True:
            view = replica.view()
            waiting = view.ops - view.manifest.folded_ops
            is_due = quiet or first or waiting >= stores.settings.fold_ops
            if view.applied > view.manifest.folded and is_due:
                fold(stores, view)
                folded, first = folded + waiting, False
                view = replica.view()
            merge = plan(view.manifest, stores.settings, quiet=quiet)
            if merge is not None:
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
    if quiet:
        trim.trim(stores, collection_id, manifest.trimmed, manifest.folded)
        trim.expire(stores, collection_id)
    collected += garbage.collect(stores, collection_id)
    return Report(collection_id, folded, merges, collected, view.ops - manifest.folded_ops)
