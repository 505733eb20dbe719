"""Erasure: records leave the log, the archive, the segments, the forks and the past, by a deadline.

1. Put an item with the ids of the records (`catalog.erasures`). *Crash before: nothing happened. After: the maintenance
   job continues.*
2. In each living member of the lineage, append a deletion of these ids, and put its position into the state: as
   `erased_seq`. From here on no point in time before it can be read, restored or forked. A dropped member can no longer
   be restored. List the members again, until there is no new one; put them into the item. *Crash before: the next run
   deletes again, which changes nothing.*
3. The indexer of each member flushes the deletion (`jobs.rewrite`), and rewrites each segment that has deleted rows
   and whose files may have rows that were deleted before that (`SegmentInfo.purged_seq`), one after another. *Crash: as
   of any flush or compaction; the state still says what is left to do.*
4. If no such segment is left, the indexer replaces the log up to the checkpoint by placeholders, and lets the past
   start there (`jobs.past`). *Crash before: the next indexing does it.*
5. All members are that far, and the outputs of their functions (`jobs.erased_outputs`): put the keys of the objects
   into the item that none of them needs, and of those that were stored after step 2 and are gone.
6. Collect garbage until none of these objects is left; scrub the table's file; put the time into the item and remove
   the ids. *Crash before: the next run finds what is left.*

A record that is written again under the same id after step 2 is a new one and stays. What a fork has under one of these
ids is deleted too, whoever wrote it. So the report, the finished item, names every object that was deleted, and none of
the ids.

In an account, DynamoDB and a versioned bucket keep what was deleted for `RecoveryDays`, for a recovery; backups and
dumps of a directory are files of their owner. Neither is touched; old versions are deleted on demand
(`storage.aws.old_versions`).
"""

import logging
from collections.abc import Iterator
from dataclasses import replace

from afterglow.catalog import collections, erasures
from afterglow.catalog.erasures import Erasure
from afterglow.catalog.model import Collection
from afterglow.collection.write import erasure as requests
from afterglow.errors import Busy, Corrupt
from afterglow.jobs import erased_outputs, gc, purge
from afterglow.jobs.index_messages import IDLE
from afterglow.log import trim
from afterglow.storage.ports import ObjectNotFound, Stores

_log = logging.getLogger(__name__)

_LAST = 10**12 - 2
"""An entry number after every log."""


def is_pending(stores: Stores) -> bool:
    """Whether an erasure is unfinished."""
    return any(erasure.finished_at is None for erasure in erasures.list_all(stores.table))


def advance(stores: Stores) -> None:
    """Continue every erasure as far as possible. The caller must be the only indexer of a directory.

    Raises Unavailable, StorageFull.
    """
    for erasure in erasures.list_all(stores.table):
        if erasure.finished_at is None:
            try:
                _advance(stores, erasure)
            except (Busy, Corrupt, ObjectNotFound) as error:
                _log.error("erasure %s waits: %s", erasure.id, error)


def _advance(stores: Stores, erasure: Erasure) -> None:
    if erasure.members is None:
        erasure = requests.begin(stores, erasure)
    members = [
        state for member in erasure.members or () if (state := collections.stored(stores.table, member)) is not None
    ]
    unsettled = [state for state in members if not state.is_dropped and state.is_erasing]
    for state in unsettled:
        stores.queue.send(str(state.id), f"{IDLE} {state.erased_seq}")
    behind = [state for state in members if not state.is_dropped and erased_outputs.is_behind(state)]
    for state in behind:
        stores.queue.send(str(state.id), f"{IDLE} {state.erased_seq} function")
    if unsettled or behind or not stores.settings.garbage_collection:
        return
    with_outputs = erased_outputs.erase(stores, erasure, members)
    if with_outputs is None:
        return
    if erasure.objects is None:
        unreachable = [key for state in members for key in _unreachable(stores, state)]
        present = {info.key for state in members for info in stores.objects.list(f"{state.id}/")}
        objects = dict.fromkeys([*unreachable, *(key for key in erasure.stored if key not in present)])
        named = tuple(objects)[: erasures.MAX_OBJECTS]
        recorded = erasures.update(stores.table, replace(erasure, stored=(), objects=named))
        if recorded is None:
            return
        erasure = recorded
    purge.purge_dropped(stores)
    for state in members:
        gc.collect_garbage(stores, state.id)
    if any(_is_left(stores, state, erasure) for state in members) or not stores.table.scrub():
        return
    finished = replace(erasure, ids=(), finished_at=stores.system.now())
    if erasures.update(stores.table, finished) is not None and not stores.table.scrub():
        _log.info("erasure %s is finished; the table is scrubbed by the next one", erasure.id)


def _unreachable(stores: Stores, state: Collection) -> list[str]:
    """The objects of a member that no member needs; the log of a dropped one is replaced by placeholders first."""
    if state.is_dropped:
        trim.trim(stores, state.id, 0, _LAST)
    return gc.unreachable(stores, state)


def _is_left(stores: Stores, state: Collection, erasure: Erasure) -> bool:
    """Whether one of the objects is stored still, of those with the prefix of this member."""
    expected = {key for key in erasure.objects or () if key.startswith(f"{state.id}/")}
    return bool(expected) and any(info.key in expected for info in stores.objects.list(f"{state.id}/"))


def problems(stores: Stores) -> Iterator[str]:
    """What is wrong with erasures, one sentence each: late ones, and objects of finished ones that are stored."""
    now = stores.system.now()
    for erasure in erasures.list_all(stores.table):
        if erasure.finished_at is None:
            if now > erasure.deadline:
                yield f"erasure {erasure.id} of collection {erasure.collection} is late: it is {erasure.state}"
            continue
        prefixes = sorted({key.partition("/")[0] for key in erasure.objects or ()})
        stored = {info.key for prefix in prefixes for info in stores.objects.list(f"{prefix}/")}
        for key in sorted(stored.intersection(erasure.objects or ())):
            yield f"object {key} is stored, but erasure {erasure.id} has deleted it"
