"""Appending entries to a log (protocol: `afterglow.log`)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from afterglow.catalog import keys
from afterglow.catalog import state as states
from afterglow.errors import Unavailable
from afterglow.log import entry as entries
from afterglow.log import payload as payloads
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry, EntryKind
from afterglow.retry import Backoff, attempts
from afterglow.settings import System
from afterglow.storage.clock import writing_now
from afterglow.storage.ports import Check, ConditionFailed, Put, Stores, Write

_BACKOFF = Backoff(max_attempts=3, first=0.1, last=0.2)


@dataclass(frozen=True, slots=True)
class PendingEntry:
    """An entry without a number yet, and its payload."""

    entry: Entry
    payload: bytes


def prepare(
    stores: Stores,
    collection_id: UUID,
    batches: Sequence[Batch],
    *,
    ttl_key: str | None = None,
    log_time: int = 0,
    nonce: str | None = None,
) -> PendingEntry:
    """The entry of some batches, which apply in order. Puts a payload over `log_inline_max_bytes` to an object.

    `log_time` is the time of the log as far as the writer knows it (Unix milliseconds); `nonce` is the entry's, a new
    one if None.
    """
    payload = payloads.encode(batches)
    is_inline = len(payload) <= stores.settings.log_inline_max_bytes
    entry = Entry(
        0,
        EntryKind.BATCH,
        nonce or stores.system.nonce(),
        op_count=sum(len(batch.ids) for batch in batches),
        byte_size=len(payload),
        payload=payload if is_inline else None,
        ttl_key=ttl_key,
        batch_count=len(batches),
    )
    if is_inline:
        return PendingEntry(entry, payload)
    return _put_payload(stores, collection_id, entry, payload, log_time)


def _put_payload(stores: Stores, collection_id: UUID, entry: Entry, payload: bytes, log_time: int) -> PendingEntry:
    time = max(entries.milliseconds(writing_now(stores.table, stores.system)), log_time)
    # Not the entry's nonce: a caller may choose that, and use it again for another attempt.
    key = entries.payload_key(collection_id, time, stores.system.nonce())
    stores.objects.put(key, payload)
    return PendingEntry(replace(entry, payload_key=key), payload)


def stamp(stores: Stores, collection_id: UUID, pending: PendingEntry, log_time: int) -> PendingEntry:
    """The same entry, dated for being appended to a log whose time is `log_time` (Unix milliseconds): never before it.

    An object whose key has a time long before that is put again under another key: garbage collection may take it.
    """
    key = pending.entry.payload_key
    if key is not None:
        if entries.payload_time(key) < log_time - entries.milliseconds(stores.settings.gc_grace_seconds) // 2:
            pending = _put_payload(stores, collection_id, pending.entry, pending.payload, log_time)
        log_time = max(log_time, entries.payload_time(pending.entry.payload_key or key))
    at = max(entries.milliseconds(writing_now(stores.table, stores.system)), log_time)
    return replace(pending, entry=replace(pending.entry, appended_at=at))


def seal_entry(system: System) -> Entry:
    """The entry that ends a dropped collection's log."""
    return Entry(0, EntryKind.SEAL, system.nonce())


def append_at(
    stores: Stores,
    collection_id: UUID,
    entry: Entry,
    seq: int,
    state_version: int | None,
    *,
    extra_writes: Sequence[Write] = (),
) -> bool:
    """Put `entry` at number `seq`. True: it is in the log; False: it is not, and the caller must catch up with the log.

    `state_version` is the version of the collection's state in which not more than `seq` - 1 entries were flushed;
    None for a log without a state to go by, which nobody flushes. A put whose response is lost is put again: our own
    nonce at that number shows that it had succeeded. Raises Unavailable when the table keeps failing; the write is then
    either completely there or not at all.

    `extra_writes`, to other items, are written in one transaction with the entry. Raises ConditionFailed where the
    condition of one of these fails.
    """
    pk, entry = keys.collection(collection_id), replace(entry, seq=seq)
    put = Put(pk, entries.key(seq), entries.encode(entry), if_absent=True)
    writes: list[Write] = [put]
    # A transaction that is made anyway checks the state everywhere; a lone put is not made one where that costs.
    if state_version is not None and (extra_writes or stores.table.has_cheap_transactions):
        writes.append(Check(pk, keys.STATE, if_version=state_version))
    writes += extra_writes
    return put_entries(stores, writes, [(pk, entry)])


def put_entries(stores: Stores, writes: Sequence[Write], appended: Sequence[tuple[str, Entry]]) -> bool:
    """Apply `writes`, among them the puts of entries, by partition: whether these are in their logs, all or none.

    Raises Unavailable as `append_at` does, and ConditionFailed where the condition of a write fails that concerns
    neither the number of such an entry nor the state of its collection.
    """
    for attempt in attempts(stores.system, _BACKOFF):
        try:
            match writes:
                case [Put() as put]:
                    stores.table.put(put.pk, put.sk, put.value, if_absent=put.if_absent)
                case _:
                    stores.table.transact(writes)
        except ConditionFailed as conflict:
            for pk, entry in appended:
                if conflict.key in ((pk, entries.key(entry.seq)), (pk, keys.STATE)):
                    return _is_there(conflict, entry, is_repeated=attempt > 1)
            raise
        except Unavailable:
            if attempt == _BACKOFF.max_attempts:
                raise
            continue
        return True
    raise AssertionError("unreachable")


def _is_there(conflict: ConditionFailed, entry: Entry, *, is_repeated: bool) -> bool:
    """Whether the entry is in the log, given the item that prevented another put of it. Raises Unavailable."""
    existing = conflict.existing
    if existing is None:
        return False
    if existing.sk != keys.STATE:
        return entries.decode(existing).nonce == entry.nonce
    # Nobody has the number. If it is flushed, its placeholder is gone, and with it the nonce of an earlier attempt.
    if is_repeated and states.decode(existing).flushed_seq >= entry.seq:
        raise Unavailable(f"it is unknown whether entry {entry.seq} of {existing.pk} was written by an earlier attempt")
    return False
