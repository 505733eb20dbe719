"""Runs the attached function of a collection after a flush (`collection.write.functions`).

1. Compute the output from the indexer's snapshot (`jobs.function_outputs`), from its columns.
2. Read the output collection, and write the differences. *Crash after some of them: the next run finds the others.*
3. Put the position of the snapshot into the state, unless the function was detached. *Crash before: the next run finds
   no differences.* If another run has put a later position meanwhile, this one may have overwritten its output: start
   over with the newest records.

The output of `revision_history` has steps of its own (`jobs.revision_history`). Any other output is a function of the
records at one position: no history of runs, lost or repeated, can make it wrong for good. An output that was dropped,
or would have too many records, is not written; the run counts as complete.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import orjson

from afterglow.catalog import collections
from afterglow.catalog.model import REVISION_HISTORY, AttachedFunction, Collection
from afterglow.collection.read import rows as fetch
from afterglow.collection.replica.replica import Replica
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Include, Scope, Selection
from afterglow.collection.write import write_path
from afterglow.collection.write.log_end import LogEnd
from afterglow.errors import Busy, LimitExceeded, NotFound
from afterglow.jobs.function_outputs import FUNCTIONS, OutputRecord, as_batch
from afterglow.jobs.revision_history.run import run as run_history
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores

_log = logging.getLogger(__name__)

_MAX_RUNS = 5
_VALUES_PER_SECOND = 2_000_000
_BATCH = 300
"""Records of one write: as many as a function of an account may write at once."""


@dataclass(frozen=True, slots=True)
class _Differences:
    upserts: list[str]
    deletes: list[str]


def is_due(collection: Collection, last_seq: int) -> bool:
    """Whether the collection has a function whose output does not reflect entry `last_seq` yet."""
    return collection.function is not None and collection.function.completion_offset < last_seq


def estimated_seconds(snapshot: Snapshot) -> float:
    """The time of a run, estimated from the records and the number of metadata keys."""
    keys = len(snapshot.collection.schema.get("keys", ()))
    return 1.0 + snapshot.records * keys / _VALUES_PER_SECOND


def run_function(stores: Stores, snapshot: Snapshot) -> UUID | None:
    """Bring the output up to the snapshot or later; the output collection if it was written.

    Raises Corrupt, Unavailable, StorageFull.
    """
    written = None
    if not is_due(snapshot.collection, snapshot.applied_seq):
        return None
    for _ in range(_MAX_RUNS):
        function = snapshot.collection.function
        if function is None:
            return written
        scope = Scope(snapshot.collection.tenant, snapshot.collection.database, function.output_id)
        try:
            if function.function == REVISION_HISTORY:
                is_written = _write_history(stores, snapshot, function, scope)
            else:
                is_written = _write_output(stores, scope, FUNCTIONS[function.function](snapshot))
            written = function.output_id if is_written else written
        except Busy as error:
            _log.warning("the output of function %r is written later: %s", function.name, error.message)
            return written
        except (LimitExceeded, NotFound) as error:
            _log.warning("the output of function %r is not written: %s", function.name, error.message)
        if _complete(stores, snapshot.collection.id, function, snapshot.applied_seq):
            return written
        snapshot = Replica(stores, snapshot.collection.id).snapshot()
    return written


def _write_history(stores: Stores, snapshot: Snapshot, function: AttachedFunction, scope: Scope) -> bool:
    """Write the revisions, and step 3 for each part of them; whether there were any."""
    records = 0
    for progress in run_history(stores, snapshot, function, scope):
        records += progress.written
        _complete(stores, snapshot.collection.id, function, progress.position)
    return records > 0


def _write_output(stores: Stores, scope: Scope, output: dict[str, OutputRecord]) -> bool:
    """Write the differences between the collection and the output; whether there were any."""
    differences = _compare(stores, scope, output)
    end = LogEnd()
    for ids in _batches(differences.deletes):
        write_path.write(stores, end, scope, [Batch(Op.DELETE, ids)])
    for ids in _batches(differences.upserts):
        write_path.write(stores, end, scope, [as_batch({record_id: output[record_id] for record_id in ids})])
    return bool(differences.upserts or differences.deletes)


def _compare(stores: Stores, scope: Scope, output: dict[str, OutputRecord]) -> _Differences:
    snapshot = Replica(stores, scope.collection).snapshot(scope=scope)
    groups, rows = fetch.in_insertion_order(snapshot, fetch.selection_masks(snapshot, Selection()))
    found = fetch.materialize(snapshot, groups, rows, frozenset({Include.METADATAS}))
    present = dict(zip(found.ids, found.metadatas or [], strict=True))
    upserts = []
    for record_id, record in output.items():
        metadata = present.get(record_id)
        if metadata is None or orjson.loads(metadata) != record.metadata:
            upserts.append(record_id)
    return _Differences(upserts, [record_id for record_id in present if record_id not in output])


def _batches(ids: Sequence[str]) -> list[list[str]]:
    return [list(ids[start : start + _BATCH]) for start in range(0, len(ids), _BATCH)]


def _complete(stores: Stores, collection_id: UUID, function: AttachedFunction, seq: int) -> bool:
    """Step 3; False if another run was faster, and this one must start over."""
    is_later = False

    def edit(existing: Collection) -> Collection | None:
        nonlocal is_later
        current = existing.function
        if current is None or current.id != function.id:
            return None
        is_later = current.completion_offset > seq
        if current.completion_offset >= seq:
            return None
        return replace(existing, function=replace(current, completion_offset=seq))

    try:
        collections.update(stores.table, collection_id, edit)
    except NotFound:
        return True
    return not is_later
