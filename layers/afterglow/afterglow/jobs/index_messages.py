"""Handles a message of the indexer's queue: flush or compact the collection that it names, in the time available.

A message has a group, within which messages are delivered in order, and a reason. Each collection has several groups,
so that flushes, which are short and keep the unflushed log small, do not wait for compactions, which are not. In an AWS
account compactions have a queue of their own, too, whose function has the time and the memory that they need:

* ``<collection>`` with the number of a log entry: **flush** up to that entry, and further while there is a backlog;
  with `idle`: flush to the end, and replace flushed entries by placeholders. If segments must be compacted then, send a
  message to the other group.
* ``<collection>:compact``: **compact** segments until there is nothing left, except for the independent compactions of
  a bulk load (`compaction_policy.independent_compactions`). Each of these has a group of its own:
* ``<collection>:compact:<segment>``: run the compaction whose first input is that segment, and send a message to
  compact the remaining segments.

1. If the collection is deleted, or the entry is already flushed, stop.
2. Do it (`jobs.indexer`) as far as time allows. *Killed meanwhile: the queue delivers the message again.*
3. If time was short, or a compaction must follow, send a message for that. *Killed before: the same message again.*

Messages are hints: one that is duplicated, late or lost changes only when work is done, not what.
"""

from uuid import UUID

import orjson

from afterglow.collection.replica.replica import Replica
from afterglow.errors import InvalidArgument
from afterglow.jobs.indexer import IndexReport, compact_segments, flush_log, run_compaction
from afterglow.jobs.time_budget import TimeBudget, no_time_limit
from afterglow.storage.ports import Queue, Stores

IDLE = "idle"
"""Prefix of the reason for a collection that is not being written."""
_COMPACT = ":compact"


def handle(
    stores: Stores, body: str, may_take: TimeBudget = no_time_limit, compactions: Queue | None = None
) -> IndexReport:
    """Handle one message; `compactions` is the queue for messages to compact, None for the one of flushes.

    After InvalidArgument, Corrupt, Unavailable or StorageFull the message must be delivered again.
    """
    compactions = compactions or stores.queue
    group, reason = _parse(body)
    idle = reason.startswith(IDLE)
    # The nonce makes the message unique: within minutes the queue would drop an equal one as a duplicate.
    again = f"{reason.partition(' ')[0]} {stores.system.nonce()}"
    name, separator, first = group.partition(_COMPACT)
    collection_id = _collection(name, body)
    if first:
        report = run_compaction(stores, collection_id, first.removeprefix(":"), may_take=may_take)
        if report.is_unfinished:
            compactions.send(group, again)
        elif report.compactions:
            compactions.send(f"{name}{_COMPACT}", again)
        return report
    if separator:
        report = compact_segments(stores, collection_id, idle=idle, may_take=may_take)
        for segment in report.independent_compactions:
            compactions.send(f"{group}:{segment}", again)
        if report.is_unfinished:
            compactions.send(group, again)
        return report
    replica = Replica.for_indexer(stores, collection_id)
    report = flush_log(stores, replica, collection_id, up_to=_entry(reason, idle=idle), may_take=may_take)
    if report.is_unfinished:
        stores.queue.send(group, again)
    if report.needs_compaction:
        compactions.send(f"{group}{_COMPACT}", again)
    return report


def _parse(body: str) -> tuple[str, str]:
    try:
        message = orjson.loads(body)
        group, reason = message["group"], message["body"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise InvalidArgument(f"not a message of this queue: {body[:200]!r}: {error}") from error
    if not isinstance(group, str) or not isinstance(reason, str):
        raise InvalidArgument(f"not a message of this queue: {body[:200]!r}")
    return group, reason


def _collection(name: str, body: str) -> UUID:
    try:
        return UUID(name)
    except ValueError:
        raise InvalidArgument(f"not a message of this queue: {body[:200]!r}") from None


def _entry(reason: str, *, idle: bool) -> int | None:
    """The number of the log entry up to which to flush, None for all."""
    word = reason.partition(" ")[0]
    if idle:
        return None
    return int(word) if word.isdigit() else 1
