"""Transactions: reads of one snapshot, and a commit whose writes become one entry of the log, or nothing.

A **read token** is the number of the entry that would follow the snapshot, never 0. All reads of a transaction name the
token of the first. Records that were not written since are read where they are now, which costs a look at the entries
in between; any other read opens the snapshot of the past (`collection.time_travel`). A commit names it as well, with
what was read:

1. Compare the ids written since the snapshot with the ids that were read (`collection.write.read_condition`).
2. **Predicates**: a read by filter, or of the k nearest, is protected as a whole. Of the records written since, none
   may match the filter in the snapshot, nor match it now; none may be as near as the k-th, then or now. So the read
   would find the same again, also no new records (no phantoms: `collection.write.read_predicates`).
3. **Deletes by filter** are evaluated now, before all other operations.
4. Append all operations as the entry that follows "now". If another writer is first, repeat from 1 with its entry.

Under a **restriction** (`collection.restriction`) the ids that were read are a predicate as well: a record outside the
filter is as if it did not exist, so a write to it is no conflict. The operations are admitted between 3 and 4
(`collection.write.admission`), and what is left of them is what the entry has and counts.

Without predicates, steps 1 and 4 need no snapshot, and without other writers no read at all. *A crash before the append
leaves nothing; after it the transaction is durable, acknowledged or not.* A caller who lost the answer may send the
commit again with the same nonce: it is found in the log, and the first answer is repeated.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from afterglow.collection import restriction
from afterglow.collection.read import read_path
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import LogPosition, Scope, Selection
from afterglow.collection.write import admission, read_predicates, write_path
from afterglow.collection.write.log_end import LogEnd
from afterglow.collection.write.read_condition import AlreadyCommitted, ReadCondition, require_recent
from afterglow.collection.write.read_predicates import Neighborhood, Predicates
from afterglow.errors import StaleRead, WriteConflict
from afterglow.log.batch import Batch, Op
from afterglow.metering import phase
from afterglow.storage.ports import Stores

_MAX_ENTRIES_LOOKED_AT = 256
"""With more entries in between, a read opens the snapshot of the past."""

TakeSnapshot = Callable[[Sequence[str] | None, int | None], Snapshot]
"""Takes a snapshot with the locations of these ids, if any, now (None) or at a log position."""


@dataclass(frozen=True, slots=True)
class FilteredDelete:
    """A delete of the selected records, at most `limit` of them."""

    selection: Selection
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Transaction:
    """What a transaction has read in the snapshot at `position` (None: nothing), and its operations in order.

    `filters` and `neighborhoods` are the predicates of reads that are protected as a whole; `nonce` is the caller's, if
    any. All `FilteredDelete`s come first.
    """

    operations: Sequence[Batch | FilteredDelete]
    position: int | None = None
    read_ids: Sequence[str] = ()
    filters: Sequence[Selection] = ()
    nonce: str | None = None
    neighborhoods: Sequence[Neighborhood] = ()

    @property
    def given(self) -> list[Batch]:
        """The operations other than deletes by filter."""
        return [one for one in self.operations if isinstance(one, Batch) and one.ids]

    @property
    def predicates(self) -> Predicates:
        """What was read other than records by id."""
        return Predicates(self.filters, self.neighborhoods)

    @property
    def needs_snapshot(self) -> bool:
        """Whether the commit depends on records other than those with the ids that were read."""
        return bool(self.predicates) or any(isinstance(operation, FilteredDelete) for operation in self.operations)


@dataclass(frozen=True, slots=True)
class CommitResult:
    """The number of the transaction's entry, None where it wrote nothing, and the records in its operations."""

    position: int | None
    records: int


def snapshot_to_read(
    stores: Stores, scope: Scope, ids: Sequence[str] | None, position: int | None, take_snapshot: TakeSnapshot
) -> Snapshot:
    """The snapshot for a read at a position, None for the first read, of the records with these ids or of all.

    Raises StaleRead, InvalidArgument if the log has not reached the position, and what a read raises.
    """
    now = take_snapshot(ids, None)
    if position is None or now.applied_seq == position:
        return now
    require_recent(scope, position, now.applied_seq)
    if ids is not None and now.applied_seq <= position + _MAX_ENTRIES_LOOKED_AT:
        try:
            ReadCondition(stores, scope.collection, position, ids).check(now.applied_seq)
        except (WriteConflict, StaleRead):
            pass
        else:
            return replace(now, applied_seq=position)  # of these records it is the same snapshot
    return take_snapshot(ids, position)


def restricted(transaction: Transaction) -> Transaction:
    """The transaction under a restriction: the ids that it has read are a predicate."""
    if not transaction.read_ids:
        return transaction
    selection = Selection(ids=transaction.read_ids)
    return replace(transaction, read_ids=(), filters=[*transaction.filters, selection])


def only_deletes(transaction: Transaction) -> bool:
    """Whether the transaction needs no space but that of the log entry of a delete."""
    return all(
        isinstance(operation, FilteredDelete) or operation.op is Op.DELETE for operation in transaction.operations
    )


def condition_of(stores: Stores, scope: Scope, transaction: Transaction) -> ReadCondition | None:
    """The condition of the commit, None if the transaction has read nothing."""
    if transaction.position is None:
        return None
    return ReadCondition(
        stores,
        scope.collection,
        transaction.position,
        transaction.read_ids,
        transaction.nonce,
        collect=bool(transaction.predicates),
    )


def commit(
    stores: Stores, end: LogEnd, scope: Scope, transaction: Transaction, take_snapshot: TakeSnapshot
) -> CommitResult:
    """Commit a transaction. Raises WriteConflict, StaleRead, and what a write raises: then nothing is written."""
    condition = condition_of(stores, scope, transaction)

    def evaluate_batches() -> tuple[LogPosition, list[Batch]]:
        now, batches = evaluate(stores, scope, transaction, condition, take_snapshot)
        return now.log_position, batches

    try:
        if transaction.needs_snapshot or scope.restriction is not None:
            written = write_path.write_evaluated(stores, end, scope, evaluate_batches, transaction.nonce)
            return CommitResult(written.position, written.count)
        records = sum(len(batch.ids) for batch in transaction.given)
        return CommitResult(write_path.write(stores, end, scope, transaction.given, condition=condition), records)
    except AlreadyCommitted as committed:
        return CommitResult(committed.entry.seq, committed.entry.op_count)


def evaluate(
    stores: Stores,
    scope: Scope,
    transaction: Transaction,
    condition: ReadCondition | None,
    take_snapshot: TakeSnapshot,
) -> tuple[Snapshot, list[Batch]]:
    """Steps 1 to 3: the snapshot of "now", and what is to be appended after it, deletes by filter as deletes by ids.

    Raises WriteConflict, StaleRead, AlreadyCommitted, what a read raises, and what `admission.admit` does.
    """
    now = take_snapshot((), None)
    if condition is not None:
        require_recent(scope, condition.position, now.applied_seq)
        condition.check(now.applied_seq)
        read_predicates.check_dimension(now, transaction.predicates)
        if transaction.predicates.concerned(condition.written):
            now = _check_predicates(stores, transaction, condition, take_snapshot)
    with phase("filter"):
        batches = [*_deletes(stores, transaction, now), *transaction.given]
    if scope.restriction is None or not batches:
        return now, batches
    # If the log has grown since "now", the append is refused.
    latest = take_snapshot(admission.ids_of(batches), None)
    return now, admission.admit(latest, restriction.require_filter(latest, scope), batches)


def _check_predicates(
    stores: Stores, transaction: Transaction, condition: ReadCondition, take_snapshot: TakeSnapshot
) -> Snapshot:
    """Step 2; the snapshot of "now", which the condition is checked up to. Raises WriteConflict, StaleRead."""
    while True:
        written = transaction.predicates.concerned(condition.written)
        now = take_snapshot(written, None)
        condition.check(now.applied_seq)
        if len(transaction.predicates.concerned(condition.written)) == len(written):
            break
    before = replace(take_snapshot(written, condition.position), as_of=now.as_of)
    seconds = stores.settings.max_read_seconds
    for snapshot in (now, before):
        if read_predicates.are_met(snapshot, transaction.predicates, written, seconds):
            raise WriteConflict
    return now


def _deletes(stores: Stores, transaction: Transaction, now: Snapshot) -> Iterator[Batch]:
    """Step 3: the deletes by filter as deletes by ids."""
    for operation in transaction.operations:
        if isinstance(operation, FilteredDelete):
            chosen_ids, limit = operation.selection.ids, operation.limit
            selection = replace(operation.selection, ids=None)
            ids = read_path.matching_ids(
                now, selection, limit if chosen_ids is None else None, stores.settings.max_read_seconds
            )
            if chosen_ids is not None:
                chosen = frozenset(chosen_ids)
                ids = [name for name in ids if name in chosen][:limit]
            if ids:
                yield Batch(Op.DELETE, ids)
