"""Appending entries to several logs at once: all of them, or none.

1. Put the payloads that are too large for the table to objects, as for one entry (`log.append`).
   *Crash after: orphan objects, collected later.*
2. One transaction of the table: put each entry at its number on condition that it is absent; check that the state of
   its collection is still the one that the writer knows; and of the logs that must stay as they are, that the number
   that would follow is absent and the state is the same. *Crash before: nothing happened. After: all entries are
   durable, acknowledged or not.*
3. A condition fails → nothing was written, unless the entry there is our own: then an earlier attempt had succeeded,
   for all logs, and only its response was lost. The puts come first, then the states of their collections, so this is
   found out before any log that was only read is looked at.

A reader of several logs reads one after another: what it sees of the first may be older than what it sees of the
second. Once the writer has its response, all entries are there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from afterglow.catalog import keys
from afterglow.log import entry as entries
from afterglow.log.append import put_entries
from afterglow.log.entry import Entry
from afterglow.storage.ports import Check, ConditionFailed, Put, Stores, Write


@dataclass(frozen=True, slots=True)
class LogTip:
    """The end of one log: number `seq`, and the version of the collection's state in which not more are flushed."""

    collection_id: UUID
    seq: int
    state_version: int


def append_together(stores: Stores, appended: Sequence[tuple[LogTip, Entry]], unchanged: Sequence[LogTip]) -> bool:
    """Put the entries, which have their numbers, after the ends of their logs; the `unchanged` logs end where they did.

    True: all are in their logs; False: none is, and the caller must catch up with the logs. Raises Unavailable when the
    table keeps failing; the write is then either completely there or not at all.
    """
    states = [_state(tip) for tip, _ in appended]
    writes: list[Write] = [
        Put(keys.collection(tip.collection_id), entries.key(entry.seq), entries.encode(entry), if_absent=True)
        for tip, entry in appended
    ]
    writes += states
    for tip in unchanged:
        writes += [_state(tip), Check(keys.collection(tip.collection_id), entries.key(tip.seq + 1), if_absent=True)]
    try:
        return put_entries(stores, writes, [(keys.collection(tip.collection_id), entry) for tip, entry in appended])
    except ConditionFailed:
        return False


def _state(tip: LogTip) -> Check:
    return Check(keys.collection(tip.collection_id), keys.STATE, if_version=tip.state_version)
