"""The condition of a transaction's commit: nothing that it has read was written since.

A transaction reads a snapshot of the log up to `position`. Before its entry is put at n + 1, the ids written by the
entries from `position` + 1 to n are compared with the ids that it has read; the put then succeeds only if n is still
the end of the log (`log.append`). So whatever it has read is the same at n, and the transaction is as if it had run
alone, right after entry n (backward validation: Kung & Robinson 1981). An entry is looked at once, however often the
put is repeated.

The entries are those that this process remembers (`collection.write.recent_writes`), or are read from the log or, once
flushed, from its archive. Where they are in neither, or are too many, the
reads are stale: the transaction has to run again.
"""

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from afterglow.catalog import collections, keys
from afterglow.collection.time_travel import point_in_time
from afterglow.collection.types import Scope
from afterglow.collection.write.recent_writes import EntryWrites
from afterglow.errors import InvalidArgument, StaleRead, WriteConflict
from afterglow.log import entry as entries
from afterglow.log import read as log
from afterglow.log.entry import Entry, EntryKind
from afterglow.log.read import LogTrimmed
from afterglow.retry import REREADS, attempts
from afterglow.storage.ports import ObjectNotFound, Stores

MAX_ENTRIES = 16_384
"""The most entries that may follow a transaction's reads."""
_MAX_BYTES = 256 * 1024 * 1024
"""The most bytes of batches that a check reads."""
_PAGE = 256


def require_recent(scope: Scope, position: int, end: int) -> None:
    """Refuse the position of a restricted caller's reads, unless it is one of the last of the log; pass any other's.

    What the caller sends may be any position, and which of them exist would count the writes of others: so those beyond
    the end are refused like those of long ago. Raises StaleRead.
    """
    if scope.restriction is not None and not end - MAX_ENTRIES <= position <= end:
        raise _stale()


class AlreadyCommitted(Exception):
    """The log has an entry with the transaction's nonce: an earlier request committed it, and its answer was lost."""

    def __init__(self, entry: EntryWrites) -> None:
        super().__init__(entry.seq)
        self.entry = entry


class ReadCondition:
    """For one commit, under one lock at a time. `position` is that of the snapshot that the transaction has read.

    `written` are all ids written after that, up to the last check; they are collected only with `collect`.
    """

    def __init__(
        self,
        stores: Stores,
        collection_id: UUID,
        position: int,
        read_ids: Iterable[str],
        nonce: str | None = None,
        *,
        collect: bool = False,
    ) -> None:
        self.position = position
        self.nonce = nonce
        self.written: set[str] = set()
        self._stores = stores
        self._collection_id = collection_id
        self._read_ids = frozenset(read_ids)
        self._collects = collect
        self.checked = position

    def check(self, seq: int, known: Sequence[EntryWrites] | None = None) -> None:
        """Look at the entries up to `seq`, the end of the log as far as the caller knows it.

        `known` are those after the `checked` ones, where the caller has them; else they are read.

        Raises WriteConflict, StaleRead, InvalidArgument for a position that the log has not reached, AlreadyCommitted,
        Unavailable.
        """
        if seq < self.position:
            raise InvalidArgument(f"read_token: the log ends at position {seq}, before that of the reads")
        if seq == self.checked or not (self._read_ids or self._collects or self.nonce):
            return
        conflicts = False
        for entry in _writes(self._stores, self._collection_id, self.checked, seq) if known is None else known:
            if entry.nonce == self.nonce:
                raise AlreadyCommitted(entry)
            conflicts = conflicts or not self._read_ids.isdisjoint(entry.ids)
            if self._collects:
                self.written.update(entry.ids)
        if conflicts:
            raise WriteConflict
        self.checked = seq


def _writes(stores: Stores, collection_id: UUID, after: int, up_to: int) -> Iterator[EntryWrites]:
    """The entries after `after` up to `up_to`. Raises StaleRead."""
    if up_to - after > MAX_ENTRIES:
        raise StaleRead(f"{up_to - after} writes followed the reads of this transaction, the limit is {MAX_ENTRIES}")
    read_bytes = 0
    for page in _pages(stores, collection_id, after, up_to):
        read_bytes += sum(entry.byte_size for entry in page)
        if read_bytes > _MAX_BYTES:
            raise StaleRead(f"more than {_MAX_BYTES} bytes were written since the reads of this transaction")
        try:
            for entry, batches in log.load_batches(stores, collection_id, page):
                if entry.kind is EntryKind.SEAL:
                    raise collections.not_found(collection_id)
                ids = [name for batch in batches for name in batch.ids]
                yield EntryWrites(entry.seq, entry.nonce, entry.op_count, ids)
        except LogTrimmed:
            raise _stale() from None


def _pages(stores: Stores, collection_id: UUID, after: int, up_to: int) -> Iterator[Sequence[Entry]]:
    """The entries, without a gap, a page at a time."""
    while after < up_to:
        items = stores.table.query(
            keys.collection(collection_id), after=entries.key(after), before=entries.key(up_to + 1), limit=_PAGE
        )
        page = [entries.decode(item) for item in items]
        first = after + 1
        is_whole = page and [entry.seq for entry in page] == list(range(first, first + len(page)))
        if not is_whole or any(entry.kind is EntryKind.PLACEHOLDER for entry in page):
            flushed = _flushed(stores, collection_id, after)
            page = [entry for entry in flushed if entry.seq <= up_to]
        yield page
        after = page[-1].seq


def _flushed(stores: Stores, collection_id: UUID, after: int) -> list[Entry]:
    """The entries after `after` up to the checkpoint, at least one, from the archive. Raises StaleRead."""
    for _ in attempts(stores.system, REREADS):
        collection = collections.require(stores.table, collection_id)
        try:
            flushed = point_in_time.entries_since(stores, collection, after)
        except ObjectNotFound:
            continue
        if flushed:
            return flushed
        break
    raise _stale()


def _stale() -> StaleRead:
    return StaleRead("the writes since the reads of this transaction are no longer retained")
