"""The commit of a transaction of several collections: an entry in the log of each one it writes to, or in none.

1. Evaluate the part of each collection as for one (`collection.write.transaction`): compare what was read with what was
   written since, and evaluate the deletes by filter. A conflict in any of them refuses all. *Crash after: nothing
   happened.*
2. Check the dimension of all parts, then put new metadata keys and first dimensions into the states. If a state has
   changed, repeat from 1. *Crash after: a collection with a dimension and no records; harmless.*
3. Append all entries in one transaction of the table, which also holds the logs that were only read where they are
   (`log.append_together`). If any log has grown, repeat from 1. *Crash before: nothing is written. After: all is.*

So at the moment of the append nothing that was read has changed in any collection: committed transactions are
serializable, whichever collections they name. One without operations proves that its reads were true at one moment.

All entries have the same time, which is not before that of any of the logs: a view of the past by time has all of
them or none. All have the caller's nonce: where one log has it, an earlier request committed, in all of them.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from afterglow.catalog import ttl
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import LogPosition, Scope
from afterglow.collection.write import transaction as transactions
from afterglow.collection.write import write_path
from afterglow.collection.write.hold import require_not_held
from afterglow.collection.write.log_end import LogEnd
from afterglow.collection.write.notification import notify_if_due
from afterglow.collection.write.read_condition import AlreadyCommitted, ReadCondition
from afterglow.collection.write.registration import common_dimension
from afterglow.collection.write.transaction import CommitResult, TakeSnapshot, Transaction
from afterglow.errors import Forbidden, NotFound, StaleRead, WriteConflict
from afterglow.log import append
from afterglow.log.append import PendingEntry
from afterglow.log.append_together import LogTip, append_together
from afterglow.log.batch import Batch
from afterglow.metering import phase
from afterglow.retry import contended_attempts
from afterglow.storage.ports import Stores


@dataclass(frozen=True, slots=True)
class Member:
    """One collection of the transaction, and its part."""

    end: LogEnd
    scope: Scope
    transaction: Transaction
    take_snapshot: TakeSnapshot


@dataclass(frozen=True, slots=True)
class _Evaluated:
    """A part as of a snapshot: the batches to append, none if there is nothing to write."""

    member: Member
    now: Snapshot
    batches: Sequence[Batch]

    @property
    def after(self) -> LogPosition:
        return self.now.log_position

    @property
    def tip(self) -> LogTip:
        return LogTip(self.member.scope.collection, self.after.seq, self.after.state_version)


def commit(stores: Stores, members: Sequence[Member]) -> list[CommitResult]:
    """Commit the parts, of different collections; the results in their order.

    If an earlier request committed with the same nonce, the position of a log that no longer has its entry is None.
    Raises WriteConflict, StaleRead, and what a write raises: then nothing is written.
    """
    if not all(transactions.only_deletes(member.transaction) for member in members):
        stores.objects.reserve_space()
    conditions = [transactions.condition_of(stores, member.scope, member.transaction) for member in members]
    for _ in contended_attempts(stores.system, write_path.MAX_APPENDS):
        evaluated = _evaluate(stores, members, conditions)
        if not isinstance(evaluated[0], _Evaluated):
            return [one for one in evaluated if isinstance(one, CommitResult)]
        parts = [one for one in evaluated if isinstance(one, _Evaluated)]
        if _register(stores, parts) and _append(stores, parts):
            return [
                CommitResult(part.after.seq + 1, sum(len(batch.ids) for batch in part.batches))
                if part.batches
                else CommitResult(None, 0)
                for part in parts
            ]
    raise write_path.too_many_writers(members[0].scope.collection)


def _evaluate(
    stores: Stores, members: Sequence[Member], conditions: Sequence[ReadCondition | None]
) -> Sequence[_Evaluated] | Sequence[CommitResult]:
    """Step 1: all parts, or the results of an earlier request, which count before any conflict."""
    evaluated: list[_Evaluated] = []
    committed: dict[int, CommitResult] = {}
    refusal: WriteConflict | StaleRead | NotFound | Forbidden | None = None
    for index, (member, condition) in enumerate(zip(members, conditions, strict=True)):
        try:
            now, batches = transactions.evaluate(
                stores, member.scope, member.transaction, condition, member.take_snapshot
            )
        except AlreadyCommitted as found:
            committed[index] = CommitResult(found.entry.seq, found.entry.op_count)
        except (WriteConflict, StaleRead, NotFound, Forbidden) as error:
            refusal = refusal or error
        else:
            evaluated.append(_Evaluated(member, now, batches))
    if committed:
        return [committed.get(index, CommitResult(None, 0)) for index in range(len(members))]
    if refusal is not None:
        raise refusal
    return evaluated


def _register(stores: Stores, parts: Sequence[_Evaluated]) -> bool:
    """Step 2; False if a state has changed since the snapshots."""
    for part in parts:
        common_dimension(part.now.collection.dimension, part.batches)
        if part.batches:
            require_not_held(stores, part.member.scope.collection, part.after.held_until)
    is_same = True
    for part in parts:
        if part.batches:
            state = write_path.prepare_state(stores, part.member.end, part.member.scope, part.batches)
            is_same = is_same and state.version <= part.after.state_version
    return is_same


def _append(stores: Stores, parts: Sequence[_Evaluated]) -> bool:
    """Step 3; False if nothing is written, because a log has grown."""
    written = sorted((part for part in parts if part.batches), key=lambda part: part.member.scope.collection)
    unchanged = [part.tip for part in parts if not part.batches]
    log_time = max(part.after.log_time for part in parts)
    with phase("store"):
        pending = [_prepare(stores, part, log_time) for part in written]
    with ExitStack() as locks, phase("append"):
        for part in written:
            locks.enter_context(part.member.end.lock)
        pending = [
            append.stamp(stores, part.member.scope.collection, one, log_time)
            for part, one in zip(written, pending, strict=True)
        ]
        appended_at = max((one.entry.appended_at for one in pending), default=0)
        entries = [
            replace(one.entry, seq=part.after.seq + 1, appended_at=appended_at)
            for part, one in zip(written, pending, strict=True)
        ]
        if not append_together(
            stores, [(part.tip, one) for part, one in zip(written, entries, strict=True)], unchanged
        ):
            stores.objects.delete_many([one.payload_key for one in entries if one.payload_key is not None])
            return False
        for part, entry in zip(written, entries, strict=True):
            if part.member.end.seq == part.after.seq:
                part.member.end.advance(entry, stores.system.monotonic(), part.batches)
    for part, entry in zip(written, entries, strict=True):
        notify_if_due(stores, part.member.scope.collection, entry.seq, part.after.ops, entry.op_count)
    return True


def _prepare(stores: Stores, part: _Evaluated, log_time: int) -> PendingEntry:
    return append.prepare(
        stores,
        part.member.scope.collection,
        part.batches,
        ttl_key=ttl.ttl_key(part.now.collection.metadata),
        log_time=log_time,
        nonce=part.member.transaction.nonce,
    )
