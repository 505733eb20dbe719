"""The past of a collection: the bytes that only points in time need, and their bound.

The **present** is what the current checkpoint names, and the batches of the log after it. The **past** is everything
else that garbage collection keeps: the files of older checkpoints, archives of the log, and their batches; the past of
a fork includes what it shares with its source. A past that is larger than the present, and than `retention_bytes`, is
shortened, the oldest first: its new start is the first checkpoint after which the rest fits.

1. Put the start, a position of the log, into the collection's state. From here on no point before it can be read, and
   no fork of one can be finished: it publishes on condition that its source's state is the one that it has read.
   *Crash after: the next collection of garbage deletes what is before the start.*
2. Collect garbage (`jobs.gc`): what is needed only before the start is unreachable.

A shortened past is never extended: what was once before its start stays unreadable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from afterglow.catalog import collections
from afterglow.catalog.model import Collection
from afterglow.jobs.reachability import Checkpoint, LiveObjects, files_of_manifest, live_objects
from afterglow.log import archive
from afterglow.log import entry as entries
from afterglow.log.archive import Archive
from afterglow.storage.ports import ObjectInfo, ObjectNotFound, Stores

_ENTRY_BYTES = 1024
"""The most that an archive needs for an entry besides its batch."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes of the present and of the past. `start`: the position at which the past would have to start, 0: nowhere."""

    present: int
    past: int
    start: int = 0


def measure(
    stores: Stores, state: Collection, live: LiveObjects, batches: Sequence[ObjectInfo], *, exact: bool = False
) -> Extent:
    """The extent of a collection, given the objects with the prefix of its batches.

    Archives are left out if they cannot make the past too large, which saves a listing, unless `exact`. Raises Corrupt,
    Unavailable.
    """
    if not live.checkpoints:
        return Extent(sum(info.size for info in batches), 0)
    extent = _Extents(stores, state, live, batches, exact=exact)
    limit = max(extent.present, stores.settings.retention_bytes)
    oldest = live.checkpoints[0]
    past = extent.past_from(oldest if live.oldest_payload_time is not None else None)
    if past <= limit:
        return Extent(extent.present, past)
    for checkpoint in live.checkpoints:
        if extent.past_from(checkpoint) <= limit:
            break
    return Extent(extent.present, past, checkpoint.manifest.flushed_seq)


def extent_of(stores: Stores, collection_id: UUID) -> Extent | None:
    """The exact extent of a collection; None if it is gone. Raises ObjectNotFound, Corrupt, Unavailable."""
    state = collections.by_id(stores.table, collection_id)
    if state is None:
        return None
    batches = list(stores.objects.list(entries.payload_prefix(collection_id)))
    return measure(stores, state, live_objects(stores, state), batches, exact=True)


def shorten(stores: Stores, state: Collection, start: int) -> Collection:
    """Let the past start at entry `start`, or later if it does already; the new state. Raises NotFound, Unavailable."""

    def edit(existing: Collection) -> Collection | None:
        return None if existing.past_start >= start else replace(existing, past_start=start)

    return collections.update(stores.table, state.id, edit)


def forget(stores: Stores, collection_id: UUID) -> None:
    """Let the past of a collection start at its current checkpoint. Raises Unavailable."""
    state = collections.by_id(stores.table, collection_id)
    if state is not None:
        shorten(stores, state, state.flushed_seq)


class _Extents:
    """The bytes of a collection's objects, by what needs them."""

    def __init__(
        self, stores: Stores, state: Collection, live: LiveObjects, batches: Sequence[ObjectInfo], *, exact: bool
    ) -> None:
        self._live = live
        self._files = [self._files_of(stores, checkpoint) for checkpoint in live.checkpoints]
        current = next(
            number
            for number, checkpoint in enumerate(live.checkpoints)
            if checkpoint.manifest.key == state.manifest_key
        )
        self._present = self._files[current]
        self._batches = [
            (entries.payload_time(info.key), info.size)
            for info in batches
            if entries.is_payload_key(info.key, state.id) and info.key not in live.payload_keys
        ]
        logged = sum(info.size for info in batches if info.key in live.payload_keys)
        self.present = sum(self._present.values()) + logged
        self._archives: list[Archive] = []
        if exact or self._may_exceed(stores, state):
            self._archives = list(archive.list_archives(stores.objects, state.id))

    def past_from(self, start: Checkpoint | None) -> int:
        """The bytes of the past if it starts at this checkpoint; None: at the beginning."""
        first = 0 if start is None else self._live.checkpoints.index(start)
        files: dict[str, int] = {}
        for named in self._files[first:]:
            files |= named
        size = sum(size for key, size in files.items() if key not in self._present)
        size += sum(ref.size for ref in self._archives if start is None or ref.last > start.manifest.flushed_seq)
        return size + sum(size for time, size in self._batches if start is None or time >= start.payload_time)

    @staticmethod
    def _files_of(stores: Stores, checkpoint: Checkpoint) -> dict[str, int]:
        try:
            return files_of_manifest(stores.objects, checkpoint.manifest.key)
        except ObjectNotFound:
            return {}  # the base of a fork, collected meanwhile

    def _may_exceed(self, stores: Stores, state: Collection) -> bool:
        """Whether archives can make the past too large."""
        archived = state.flushed_seq - state.fork_position
        at_most = archived * (stores.settings.log_inline_max_bytes + _ENTRY_BYTES)
        return at_most + self.past_from(None) > max(self.present, stores.settings.retention_bytes)
