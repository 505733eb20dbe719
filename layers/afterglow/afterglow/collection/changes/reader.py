"""Reads pages of changes (protocol: `afterglow.collection.changes`)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from afterglow.catalog import collections
from afterglow.collection.changes import lines
from afterglow.collection.changes.archived import ArchivedEntries
from afterglow.collection.changes.lines import ChangeLine
from afterglow.collection.changes.position import ChangePosition
from afterglow.errors import InvalidArgument, PositionExpired, Unavailable
from afterglow.log import read as log
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry
from afterglow.log.read import LogTrimmed
from afterglow.retry import REREADS, attempts
from afterglow.storage.ports import ObjectNotFound, Stores

_RUN_ENTRIES = 128
"""Entries of the log in one query: at most 4 MB, as a larger batch is an object."""
_MAX_RUNS = 16
"""Reads of the log or of archives for one page."""
_IDS_BYTES = 8 * 1024 * 1024
"""Batches in memory at a time, for their ids."""
_ENTRIES_BYTES = 16 * 1024 * 1024
"""Of a large archive at a time."""


@dataclass(slots=True)
class ChangePage:
    """Changes in order; `next` is the position behind them, and the one that was asked for if there are none yet."""

    next: ChangePosition
    lines: list[ChangeLine] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ChangedIds:
    """The ids in the log entries up to `position`, in order, each once."""

    position: int
    ids: list[str]


@dataclass(frozen=True, slots=True)
class _Run:
    entries: Sequence[Entry]
    is_archived: bool


class ChangeReader:
    """Reads the changes of any collection. Safe for any number of threads."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._archived = ArchivedEntries(stores.objects)

    def read(self, collection_id: UUID, after: ChangePosition, limit: int, max_bytes: int) -> ChangePage:
        """At most `limit` lines and about `max_bytes` of the changes behind a position, at least one line if there are.

        Raises PositionExpired, InvalidArgument for a position behind the end of the log, NotFound, Corrupt,
        Unavailable.
        """
        for _ in attempts(self._stores.system, REREADS):
            page = ChangePage(after)
            try:
                self._fill(page, collection_id, limit, max_bytes)
            except PositionExpired:
                if not page.lines:
                    raise
            except (LogTrimmed, ObjectNotFound):
                if not page.lines:
                    continue
            return page
        raise Unavailable(f"collection {collection_id} is being flushed too fast to read its changes")

    def ids_after(self, collection_id: UUID, seq: int, limit: int) -> ChangedIds:
        """The ids of the records written or deleted after entry `seq`: about `limit`, none at the end of the log.

        Raises PositionExpired, NotFound, Corrupt, Unavailable.
        """
        ids: dict[str, None] = {}
        position = seq
        for _ in attempts(self._stores.system, REREADS):
            try:
                for count, run in enumerate(self._runs(collection_id, position, _IDS_BYTES), 1):
                    for group in _by_bytes(run.entries, _IDS_BYTES):
                        for entry, batches in self._load(collection_id, group, is_archived=run.is_archived):
                            ids.update((record_id, None) for batch in batches for record_id in batch.ids)
                            position = entry.seq
                            if len(ids) >= limit:
                                return ChangedIds(position, list(ids))
                    if count == _MAX_RUNS:
                        break
            except (LogTrimmed, ObjectNotFound):
                continue
            except PositionExpired:
                if position == seq:
                    raise
            return ChangedIds(position, list(ids))
        raise Unavailable(f"collection {collection_id} is being flushed too fast to read its changes")

    def entries(self, collection_id: UUID, after: int, up_to: int) -> Iterator[tuple[Entry, Sequence[Batch]]]:
        """The entries after number `after` up to `up_to`, which the log has reached, with their batches.

        Raises PositionExpired, NotFound, Corrupt, Unavailable; LogTrimmed, ObjectNotFound if entries were trimmed or
        collected between two reads.
        """
        if after == up_to:
            return
        for run in self._runs(collection_id, after, _ENTRIES_BYTES):
            known = [entry for entry in run.entries if entry.seq <= up_to]
            yield from self._load(collection_id, known, is_archived=run.is_archived)
            if not known or known[-1].seq == up_to:
                return

    def _fill(self, page: ChangePage, collection_id: UUID, limit: int, max_bytes: int) -> None:
        size = 0
        for count, run in enumerate(self._runs(collection_id, page.next.last_complete, max_bytes), 1):
            for group in _by_bytes(run.entries, max_bytes):
                for entry, batches in self._load(collection_id, group, is_archived=run.is_archived):
                    start = page.next.records if page.next.seq == entry.seq else 0
                    for line in lines.encode(entry, batches, start):
                        if len(page.lines) == limit or (page.lines and size + len(line.content) > max_bytes):
                            return
                        page.lines.append(line)
                        page.next = line.next
                        size += len(line.content) + 1
                    if not any(batch.ids for batch in batches):
                        page.next = ChangePosition(entry.seq)
            if count == _MAX_RUNS:
                return

    def _runs(self, collection_id: UUID, seq: int, max_bytes: int) -> Iterator[_Run]:
        """The entries after `seq`, up to the end of the log."""
        while True:
            found = log.read_run(self._stores.table, collection_id, seq, _RUN_ENTRIES)
            if found.entries:
                yield _Run(found.entries, is_archived=False)
                seq = found.entries[-1].seq
                continue
            if not found.has_more:
                flushed_seq = collections.require_live(found.state, collection_id).flushed_seq
                if seq >= flushed_seq:
                    self._require_reached(collection_id, seq, flushed_seq)
                    return
            start = seq
            for entries in self._archived.after(collection_id, seq, max_bytes):
                yield _Run(entries, is_archived=True)
                seq = entries[-1].seq
            if seq == start:
                raise self._expired(collection_id, seq)

    def _load(
        self, collection_id: UUID, entries: Sequence[Entry], *, is_archived: bool
    ) -> Iterator[tuple[Entry, Sequence[Batch]]]:
        try:
            yield from log.load_batches(self._stores, collection_id, entries)
        except LogTrimmed:
            if not is_archived:
                raise
            # The object of a batch is garbage before the archive is whose other entries are still retained.
            raise _position_expired(entries[0].seq - 1, entries[-1].seq) from None

    def _require_reached(self, collection_id: UUID, seq: int, flushed_seq: int) -> None:
        """Raises InvalidArgument if the log ends before entry `seq`."""
        if seq <= flushed_seq:
            return
        found = log.read_run(self._stores.table, collection_id, seq - 1, 1)
        if not found.entries and not found.has_more:
            flushed_seq = collections.require_live(found.state, collection_id).flushed_seq
            if seq > flushed_seq:
                raise InvalidArgument(f"position {seq} does not exist yet in collection {collection_id}")

    def _expired(self, collection_id: UUID, seq: int) -> PositionExpired:
        """The error for a position behind which the log has a gap. Raises LogTrimmed if it has none any more."""
        flushed_seq = collections.require(self._stores.table, collection_id).flushed_seq
        first = self._archived.first_after(collection_id, seq)
        oldest = flushed_seq if first is None else first - 1
        if oldest <= seq:
            raise LogTrimmed
        return _position_expired(seq, oldest)


def _position_expired(seq: int, oldest: int) -> PositionExpired:
    return PositionExpired(
        f"the changes after position {seq} are not stored any more: the oldest position is {oldest}; read the "
        "records as they are, and the changes after the position of that read",
        oldest,
    )


def _by_bytes(entries: Sequence[Entry], max_bytes: int) -> Iterator[Sequence[Entry]]:
    """The entries in groups of at most `max_bytes` of batches, or of one entry."""
    first, size = 0, 0
    for number, entry in enumerate(entries):
        if number > first and size + entry.byte_size > max_bytes:
            yield entries[first:number]
            first, size = number, 0
        size += entry.byte_size
    if first < len(entries):
        yield entries[first:]
