"""The slowdown: the answers to writes wait while many rows wait for an index (RocksDB, "Write Stalls").

Every query scans the rows without an index, and a loop of writes may add them faster than the indexer takes them. So
from `slow_writes_ops` waiting operations on, the answer to a write comes later by up to a millisecond for each of its
operations: by as much at twice as many waiting operations, in proportion below. A writer in a loop settles at the speed
of the indexer. The write is durable before: a client that does not wait for the answer loses nothing by it.

While this process searches the collection, too, a fifth of the limit counts: a search shares the processors with the
writes, and scans a hundred thousand rows in about three milliseconds.
"""

from typing import Protocol
from uuid import UUID

_SECONDS_PER_OP = 0.001
_MOST_SECONDS = 2.0
_SEARCHED_SHARE = 5
"""The limit of a collection that is searched is so many times lower."""


class OwnIndexer(Protocol):
    """The indexer of this process."""

    def problem(self, collection_id: UUID) -> str | None:
        """The error of a collection that it fails with again and again."""

    def waiting_ops(self, collection_id: UUID, total_ops: int) -> int:
        """How many of a collection's operations wait for an index; of all `total_ops` it may have seen fewer."""

    def check(self) -> None:
        """Raises Unavailable while it does not respond."""

    def close(self) -> None:
        """Stop it."""


def slowdown_seconds(waiting: int, ops: int, limit: int, *, is_searched: bool = False) -> float:
    """How long the answer to a write of `ops` operations waits while `waiting` of them wait; `limit` 0: not at all."""
    if is_searched and limit:
        limit = max(limit // _SEARCHED_SHARE, 1)
    if not limit or waiting <= limit:
        return 0.0
    return min(ops * _SECONDS_PER_OP * (waiting - limit) / limit, _MOST_SECONDS)
