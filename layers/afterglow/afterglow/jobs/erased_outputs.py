"""The outputs of attached functions in an erasure (`jobs.erasure`): what they have of the erased records goes, too.

Once a member of the erasure is settled, and its function has run past the deletion there:

1. Delete what the output has of the records. Of `revision_history` these are the revisions up to the deletion, the ends
   of the records, and their trackers unless the record was written again. `statistics` has deleted the values itself.
2. Put the end of the output's log into its state as `erased_seq`: its past ends, and its segments are rewritten.
   *Crash before: the next run does both again, which changes nothing.*
3. Put the output, and its forks, into the item as further members, so that steps 3 to 6 concern them as well.

The maintenance job looks again until the erasure is finished: a run of the function that was slow may have written a
revision after step 1.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any
from uuid import UUID

import orjson

from afterglow.catalog import collections, erasures
from afterglow.catalog.erasures import Erasure
from afterglow.catalog.model import REVISION_HISTORY, AttachedFunction, Collection
from afterglow.collection.read import rows as fetch
from afterglow.collection.replica.replica import Replica
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Include, Scope, Selection
from afterglow.collection.write import erasure as requests
from afterglow.filters.parse import parse_where
from afterglow.jobs.revision_history.revisions import tracker_id
from afterglow.storage.ports import Stores

_PAGE = 10_000
"""Records read at a time."""


def is_behind(state: Collection) -> bool:
    """Whether the function of a member may still write what the erasure has deleted there."""
    return state.function is not None and state.function.completion_offset < state.erased_seq


def erase(stores: Stores, erasure: Erasure, members: Sequence[Collection]) -> Erasure | None:
    """Steps 1 to 3; None if there was something to do, so that the erasure goes on later.

    Raises NotFound, Busy, Corrupt, Unavailable, StorageFull.
    """
    found: list[UUID] = []
    is_clean = True
    for state in members:
        if state.is_dropped or state.function is None:
            continue
        for output in requests.lineage_of(stores, state.function.output_id):
            is_clean = _erase_in(stores, erasure, state.function, output) and is_clean
            found.append(output)
    further = tuple(dict.fromkeys(output for output in found if output not in (erasure.members or ())))
    if not further:
        return erasure if is_clean else None
    stored = islice(requests.stored_objects(stores, further), erasures.MAX_OBJECTS - len(erasure.stored))
    erasures.update(
        stores.table,
        replace(erasure, members=(*(erasure.members or ()), *further), stored=(*erasure.stored, *stored)),
    )
    return None


def _erase_in(stores: Stores, erasure: Erasure, function: AttachedFunction, output: UUID) -> bool:
    """Steps 1 and 2 in an output or a fork of it; whether there was nothing to do."""
    state = collections.stored(stores.table, output)
    is_known = output in (erasure.members or ())
    if state is None or (state.is_dropped and is_known):
        return True
    if state.is_dropped:
        requests.delete_in(stores, output, ())
        return False
    scope = Scope(state.tenant, state.database, output)
    snapshot = Replica(stores, output).snapshot(scope=scope)
    names = _revisions(snapshot, erasure) if function.function == REVISION_HISTORY else []
    if names:
        requests.delete_in(stores, output, names)
    elif not is_known:
        requests.mark(stores, output, snapshot.applied_seq)
    return is_known and not names


def _revisions(snapshot: Snapshot, erasure: Erasure) -> list[str]:
    """The ids of what an output of `revision_history` has of the erased records."""
    erased, others = list[str](), set[str]()
    trackers: dict[str, str] = {}
    for name, metadata in _of_records(snapshot, erasure.ids):
        original = metadata["original_id"]
        if name == tracker_id(original):
            trackers[name] = original
        elif metadata.get("is_delete") is True or _seconds(metadata) <= erasure.erased_until:
            erased.append(name)
        else:
            others.add(original)
    return [*erased, *(name for name, original in trackers.items() if original not in others)]


def _of_records(snapshot: Snapshot, ids: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The ids and metadata of the records of an output that are about one of these records."""
    selection = Selection(where=parse_where({"original_id": {"$in": list(ids)}}))
    groups, rows = fetch.in_insertion_order(snapshot, fetch.selection_masks(snapshot, selection))
    for start in range(0, len(rows), _PAGE):
        page = slice(start, start + _PAGE)
        records = fetch.materialize(snapshot, groups[page], rows[page], frozenset({Include.METADATAS}))
        for name, data in zip(records.ids, records.metadatas or [], strict=True):
            yield name, orjson.loads(data or b"{}")


def _seconds(metadata: Mapping[str, Any]) -> int:
    """When a revision was written, in Unix seconds; 0 if that is not known."""
    value = metadata.get("archived_at")
    return value if isinstance(value, int) else 0
