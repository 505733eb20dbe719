"""The first steps of an erasure: its item, and the deletion of the records in the whole lineage (`jobs.erasure`)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from uuid import UUID

import orjson

from afterglow.catalog import collections, deletions, erasures, keys, lineage
from afterglow.catalog import state as states
from afterglow.catalog.erasures import Erasure
from afterglow.catalog.model import Collection
from afterglow.collection.types import Scope
from afterglow.collection.write import write_path
from afterglow.collection.write.log_end import LogEnd
from afterglow.collection.write.notification import notify_indexer
from afterglow.errors import LimitExceeded, NotFound, Unavailable
from afterglow.log import archive
from afterglow.log import entry as entries
from afterglow.log.batch import Batch, Op
from afterglow.records.ids import MAX_ID_BYTES
from afterglow.segment import manifest as manifests
from afterglow.storage.clock import latest_now
from afterglow.storage.ports import ConditionFailed, Stores

_EVERYTHING = 2**62
"""An entry number after every log."""
_ATTEMPTS = 20
_DATA = (manifests.segments_prefix, archive.prefix, entries.payload_prefix)


def request(stores: Stores, collection_id: UUID, ids: Sequence[str]) -> Erasure:
    """Steps 1 and 2: from here on nobody reads the records. Raises LimitExceeded, NotFound, Busy, Unavailable."""
    size = sum(len(name.encode()) for name in ids)
    if size > MAX_ID_BYTES:
        raise LimitExceeded(
            f"an erasure takes ids of at most {MAX_ID_BYTES} bytes together, these have {size}: erase fewer at once"
        )
    now = latest_now(stores.table, stores.system)
    erasure = Erasure(
        stores.system.new_id(), collection_id, now, now + stores.settings.erase_seconds, len(ids), tuple(ids)
    )
    return begin(stores, erasures.create(stores.table, erasure))


def begin(stores: Stores, erasure: Erasure) -> Erasure:
    """Step 2; the erasure with its members. Safe to repeat. Raises Busy, Unavailable, StorageFull."""
    done: list[UUID] = []
    erased_at = 0
    while remaining := [member for member in lineage_of(stores, erasure.collection) if member not in done]:
        for member in remaining:
            erased_at = max(erased_at, delete_in(stores, member, erasure.ids))
            done.append(member)
    first = tuple(islice(stored_objects(stores, done), erasures.MAX_OBJECTS))
    begun = replace(erasure, members=tuple(done), stored=first, erased_at=erased_at)
    return erasures.update(stores.table, begun) or erasure


def stored_objects(stores: Stores, members: Sequence[UUID]) -> Iterator[str]:
    """The keys of the objects of these collections, except manifests."""
    prefixes = [prefix(member) for member in members for prefix in _DATA]
    return (info.key for prefix in prefixes for info in stores.objects.list(prefix))


def lineage_of(stores: Stores, collection_id: UUID) -> list[UUID]:
    """The collection, its source and its forks, the dropped ones included."""
    state = collections.stored(stores.table, collection_id)
    lineage_id = None if state is None else state.lineage_id
    others = [] if lineage_id is None else [member.id for member in lineage.members(stores.table, lineage_id)]
    return list(dict.fromkeys([collection_id, *others]))


def delete_in(stores: Stores, collection_id: UUID, ids: Sequence[str]) -> int:
    """Delete the records in one collection, and its past for readers; a dropped one can no longer be restored.

    Many ids are several entries, which need no objects: the maintenance job of an account may store none. The result is
    the log time of the deletion, in Unix milliseconds; 0 where nothing can be deleted.
    """
    for _ in range(_ATTEMPTS):
        state = collections.stored(stores.table, collection_id)
        if state is None:
            return 0
        if state.is_dropped:
            if _end_dropped(stores, state):
                return 0
            continue
        scope = Scope(state.tenant, state.database, collection_id)
        try:
            end, position = LogEnd(), 0
            for group in _inline_groups(ids, stores.settings.log_inline_max_bytes // 2):
                position = write_path.write(stores, end, scope, [Batch(Op.DELETE, group)]) or position
            mark(stores, collection_id, position)
        except NotFound:
            continue  # dropped meanwhile
        notify_indexer(stores, collection_id, str(position))
        return end.log_time
    raise Unavailable(f"collection {collection_id} has too many concurrent changes; try again")


def _inline_groups(ids: Sequence[str], max_bytes: int) -> Iterator[list[str]]:
    """The ids in groups whose deletion needs no object of its own."""
    group: list[str] = []
    size = 0
    for name in ids:
        length = len(orjson.dumps(name)) + 1
        if group and size + length > max_bytes:
            yield group
            group, size = [], 0
        group.append(name)
        size += length
    if group:
        yield group


def mark(stores: Stores, collection_id: UUID, position: int) -> None:
    """End the past of a collection, for readers, at a position of its log. Raises NotFound, Unavailable."""

    def edit(existing: Collection) -> Collection | None:
        return None if existing.erased_seq >= position else replace(existing, erased_seq=position)

    collections.update(stores.table, collection_id, edit)


def _end_dropped(stores: Stores, state: Collection) -> bool:
    """Whether a dropped collection can be neither read nor restored any more."""
    for record in deletions.list_records(stores.table):
        ended = replace(record, skip_retention=True)
        if record.id == state.id and not record.skip_retention and deletions.update(stores.table, ended) is None:
            return False
    value = states.encode(replace(state, erased_seq=_EVERYTHING))
    try:
        stores.table.put(keys.collection(state.id), keys.STATE, value, if_version=state.version)
    except ConditionFailed:
        return False
    return True
