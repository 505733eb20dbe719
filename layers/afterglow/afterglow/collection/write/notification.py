"""Messages to the indexer that a log has grown.

Exactly one of all writers, on any machine, notifies for each multiple of `notify_every_ops` and `notify_every_entries`.
*Crash before, or the queue is unavailable: the next multiple, or the maintenance job, notifies.*
"""

import logging
from uuid import UUID

from afterglow.errors import Busy, Unavailable
from afterglow.storage.ports import Stores

_log = logging.getLogger(__name__)


def notify_if_due(stores: Stores, collection_id: UUID, seq: int, ops_before: int, ops: int) -> None:
    """Notify if entry `seq`, with `ops` operations after `ops_before`, takes the log past a multiple."""
    every, every_entry = max(stores.settings.notify_every_ops, 1), max(stores.settings.notify_every_entries, 1)
    if (ops_before + ops) // every > ops_before // every or seq % every_entry == 0:
        notify_indexer(stores, collection_id, str(seq))


def notify_indexer(stores: Stores, collection_id: UUID, body: str) -> None:
    """Send the indexer a message. The write is durable already, so a queue failure must not fail the request."""
    try:
        stores.queue.send(str(collection_id), body)
    except (Busy, Unavailable) as error:
        _log.warning("could not notify the indexer of collection %s: %s", collection_id, error)
