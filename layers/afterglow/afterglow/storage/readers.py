"""The readers of an account: up to which format every process of it reads what is stored.

The functions of a stack are updated one after the other, containers go on after their update, and a machine may serve
the same account with another release. Data in a newer format is written only when none of them has to refuse it.

1. A process registers before it opens a checkpoint: it puts an item under the number of the newest format that it
   reads, for a day, unless the item is there with more than half a day left. It looks again every six hours, so it is
   registered for as long as it reads. *A crash at any point leaves at most an item that expires.*
2. A writer of checkpoints reads these items before it begins, and writes the newest of its formats that the oldest
   reader reads. It ignores items that have expired or whose number it cannot read.
3. If a reader reads none of the writer's formats, the writer refuses with a message that names the reader's release;
   the log keeps the data until that reader is updated or its item has expired.

So a newer format is written a day after the last older process, at the latest, and until then an update can be undone.
An older process that starts later refuses what has been written as newer than itself.

The processes of a data directory do not register: they share a machine, and the directory is served by one release.
"""

from collections.abc import Sequence

from afterglow.errors import Unavailable
from afterglow.settings import System
from afterglow.storage.ports import Item, Table
from afterglow.version import __version__

FORMAT = 4
"""The highest format number of anything stored that this release reads: states, log entries and manifests count as one.

A release that changes one of them, or a file that a manifest names, gives it a number above all of them.
"""
PARTITION = "READERS"
KEEP_SECONDS = 24 * 3600.0
_RENEW_SECONDS = 12 * 3600.0
_CHECK_SECONDS = 6 * 3600.0
_RETRY_SECONDS = 600.0
_DIGITS = 6


class AccountReaders:
    """The readers of the account with this table, of which this process is one after `register`."""

    def __init__(self, table: Table, system: System, newest: int = FORMAT, release: str = __version__) -> None:
        self._table = table
        self._system = system
        self._newest = newest
        self._release = release
        self._checked_at: float | None = None

    def register(self) -> None:
        """Register this process, if that is not known to be done. Raises Busy, Unavailable."""
        now = self._system.now()
        if self._checked_at is not None and 0 <= now - self._checked_at < _CHECK_SECONDS:
            return
        key = f"{self._newest:0{_DIGITS}}"
        item = self._table.get(PARTITION, key)
        if item is None or not _expires_after(item, now + KEEP_SECONDS - _RENEW_SECONDS):
            self._table.put(PARTITION, key, self._release.encode(), expires_at=int(now + KEEP_SECONDS))
        self._checked_at = now

    def choose(self, formats: Sequence[int]) -> int:
        """The newest of `formats`, which ascend, that every registered process reads. Raises Busy, Unavailable."""
        now = self._system.now()
        known = [item for item in self._table.query(PARTITION) if item.sk.isdecimal() and _expires_after(item, now)]
        oldest = min(known, key=lambda item: int(item.sk), default=None)
        if oldest is None:
            return formats[-1]
        readable = [number for number in formats if number <= int(oldest.sk)]
        if not readable:
            raise Unavailable(
                f"nothing can be written: a process of release {oldest.value.decode(errors='replace')} reads only "
                f"formats up to {int(oldest.sk)}, and this release ({self._release}) writes {formats[0]} or newer; "
                "update that process, or end it and wait until it is forgotten, a day later",
                _RETRY_SECONDS,
            )
        return readable[-1]


def _expires_after(item: Item, moment: float) -> bool:
    return item.expires_at is not None and item.expires_at > moment
