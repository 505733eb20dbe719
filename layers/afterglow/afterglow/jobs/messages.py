"""What a message of the queue asks for: to index the collection that it names, in the time that there is.

1. Look at what waits. A collection that is gone, or has nothing waiting, is done.
2. Index it (`jobs.index`) as far as time allows. *Killed meanwhile: the queue delivers the message again.*
3. Where time was short, ask the queue to go on in a message of its own. *Killed before: the same message again.*

Messages are pointers: one that comes twice, late, or not at all changes nothing but the time at which work is done.
"""

from uuid import UUID

import orjson

from afterglow.collection.replica import Replica
from afterglow.errors import InvalidArgument
from afterglow.jobs.index import MayTake, Report, always, index
from afterglow.storage.stores import Stores

QUIET = "quiet"
"""A message whose reason begins with this is about a collection that nobody writes to just now."""


def collection_of(body: str) -> tuple[UUID, str]:
    """The collection that a message names, and its reason. Raises InvalidArgument for what is no message."""
    try:
        message = orjson.loads(body)
        return UUID(message["group"]), str(message["body"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidArgument(f"not a message of this queue: {body[:200]!r}: {error}") from error


def work_on(stores: Stores, body: str, may_take: MayTake = always) -> Report:
    """Do what a message asks for. Raises InvalidArgument, Corrupt, Unavailable, StorageFull: to be delivered again."""
    collection_id, reason = collection_of(body)
    replica = Replica(stores, collection_id, most_tail_rows=stores.settings.fold_ops)
    report = index(stores, replica, collection_id, quiet=reason.startswith(QUIET), may_take=may_take)
    if report.is_unfinished:
        kind = QUIET if reason.startswith(QUIET) else "more"
        stores.queue.send(str(collection_id), f"{kind} {stores.ambient.nonce()}")
    return report
