"""The ids of the last entries that this process appended to a log, so that a commit need not read them back.

Only consecutive entries are kept: an entry that another process appended makes those before it useless.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from afterglow.log.entry import Entry

_MAX_ENTRIES = 512
_MAX_IDS = 8_192


@dataclass(frozen=True, slots=True)
class EntryWrites:
    """An entry, without its payload, and the ids that it writes."""

    seq: int
    nonce: str
    op_count: int
    ids: Sequence[str]


class RecentWrites:
    """For one thread at a time."""

    def __init__(self) -> None:
        self._writes: deque[EntryWrites] = deque()
        self._ids = 0

    def append(self, entry: Entry, ids: Sequence[str] | None) -> None:
        """Note an entry and the ids that it writes, None if they are not known."""
        if self._writes and (ids is None or entry.seq != self._writes[-1].seq + 1):
            self._writes.clear()
            self._ids = 0
        if ids is None:
            return
        self._writes.append(EntryWrites(entry.seq, entry.nonce, entry.op_count, ids))
        self._ids += len(ids)
        while len(self._writes) > _MAX_ENTRIES or self._ids > _MAX_IDS:
            self._ids -= len(self._writes.popleft().ids)

    def between(self, after: int, up_to: int) -> list[EntryWrites] | None:
        """The entries after number `after` up to `up_to`, None unless all of them are known."""
        if not self._writes or not self._writes[0].seq <= after + 1 <= up_to <= self._writes[-1].seq:
            return None
        first = after + 1 - self._writes[0].seq
        return list(islice(self._writes, first, first + up_to - after))
