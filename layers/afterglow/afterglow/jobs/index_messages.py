"""What a message of the queue asks for, about the collection that it names, in the time that there is.

A message has a group, within which messages come one after another, and a reason. There are several groups for each
collection, so that folds, which are short and hold the log's tail small, need not wait for merges, which are not:

* ``<collection>`` with the number of a log entry: **fold** up to there, and on while much waits; with `quiet`: fold to
  the end, and replace what was folded by stubs. Where segments are then to be merged, the other group is told.
* ``<collection>:merge``: **merge** segments until none is left to merge, but for those merges of a bulk load that need
  not wait for each other (`plan.wholes`). For each of these there is a group:
* ``<collection>:merge:<segment>``: carry out the merge whose first input that is, and then have what is left looked at.

1. Look at what there is to do. A collection that is gone, an entry that is folded already: done.
2. Do it (`jobs.indexer`) as far as time allows. *Killed meanwhile: the queue delivers the message again.*
3. Where time was short, or a merge is to follow, send a message for that. *Killed before: the same message again.*

Messages are pointers: one that comes twice, late, or not at all changes nothing but the time at which work is done.
"""

from uuid import UUID

import orjson

from afterglow.collection.replica.replica import Replica
from afterglow.errors import InvalidArgument
from afterglow.jobs.indexer import IndexReport, TimeBudget, compact_segments, flush_log, no_time_limit, run_compaction
from afterglow.storage.ports import Stores

IDLE = "quiet"
"""A reason that begins with this is about a collection that nobody writes to just now."""
_COMPACT = ":merge"


def handle(stores: Stores, body: str, may_take: TimeBudget = no_time_limit) -> IndexReport:
    """Do what a message asks for. Raises InvalidArgument, Corrupt, Unavailable, StorageFull: to be delivered again."""
    group, reason = _parsed(body)
    quiet = reason.startswith(IDLE)
    # A word more: a message that says the same again within minutes would be taken for a copy of the first.
    again = f"{reason.partition(' ')[0]} {stores.system.nonce()}"
    name, merge, first = group.partition(_COMPACT)
    collection_id = _collection(name, body)
    if first:
        report = run_compaction(stores, collection_id, first.removeprefix(":"), may_take=may_take)
        if report.is_unfinished:
            stores.queue.send(group, again)
        elif report.compactions:
            stores.queue.send(f"{name}{_COMPACT}", again)
        return report
    if merge:
        report = compact_segments(stores, collection_id, quiet=quiet, may_take=may_take)
        for each in report.independent_compactions:
            stores.queue.send(f"{group}:{each}", again)
        if report.is_unfinished:
            stores.queue.send(group, again)
        return report
    replica = Replica.for_indexer(stores, collection_id)
    report = flush_log(stores, replica, collection_id, up_to=_entry(reason, quiet=quiet), may_take=may_take)
    if report.is_unfinished:
        stores.queue.send(group, again)
    if report.needs_compaction:
        stores.queue.send(f"{group}{_COMPACT}", again)
    return report


def _parsed(body: str) -> tuple[str, str]:
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


def _entry(reason: str, *, quiet: bool) -> int | None:
    """The log entry up to which to fold, None for all."""
    word = reason.partition(" ")[0]
    if quiet:
        return None
    return int(word) if word.isdigit() else 1
