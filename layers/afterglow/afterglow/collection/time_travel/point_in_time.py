"""Resolve a point in time: the checkpoint to start from, and the log entries to replay on it.

1. Read the state and the unflushed log.
2. List the manifests and take the newest durable checkpoint (`segment.retention`) that is not later than the point.
3. List the log archives (`log.archive`) and read those after that checkpoint, up to the point; then the unflushed
   entries. If a flush or the garbage collection came in between, start over.

A **point in time** is a time or the number of a log entry. The log as of a time is the prefix before the first later
entry, by log time (`log.entry.advance_log_time`): all readers of one point get the same records, forever.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from afterglow.catalog import collections
from afterglow.catalog.model import Collection
from afterglow.errors import InvalidArgument, Unavailable
from afterglow.log import archive
from afterglow.log import entry as entries
from afterglow.log import read as log
from afterglow.log.archive import Archive
from afterglow.log.entry import Entry, EntryKind, advance_log_time
from afterglow.retry import REREADS, attempts
from afterglow.segment import manifest as manifests
from afterglow.segment import retention
from afterglow.segment.manifest import ManifestRef
from afterglow.segment.retention import RetentionWindow
from afterglow.storage.ports import ObjectNotFound, Stores


@dataclass(frozen=True, slots=True)
class PointInTime:
    """Either the number of the last log entry, or a time in Unix milliseconds; the other is None.

    With `is_recent` it can also be read where time travel is disabled, as long as it is not flushed.
    """

    position: int | None = None
    time: int | None = None
    is_recent: bool = False

    def includes(self, entry: Entry, log_time: int) -> bool:
        """Whether an entry with this log time is before or at the point."""
        return entry.seq <= self.position if self.position is not None else log_time <= (self.time or 0)

    def __str__(self) -> str:
        if self.position is not None:
            return f"log position {self.position}"
        return datetime.fromtimestamp((self.time or 0) / 1000, UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class ResolvedPoint:
    """A resolved point in time: the checkpoint `base` (None: empty) and the `entries` that follow it without a gap.

    `collection` is the current state: name, schema and metadata are not versioned.
    """

    collection: Collection
    base: ManifestRef | None
    entries: tuple[Entry, ...]

    @property
    def position(self) -> int:
        """The number of the last entry of the point."""
        return self.entries[-1].seq if self.entries else self.flushed_seq

    @property
    def flushed_seq(self) -> int:
        """The number of the last entry in `base`; `entries` follow it."""
        return 0 if self.base is None else self.base.flushed_seq


def resolve(stores: Stores, collection: Collection, at: PointInTime) -> ResolvedPoint:
    """Resolve a point in time of a collection, which may be dropped.

    Raises InvalidArgument if the point cannot be read, NotFound, Corrupt, Unavailable.
    """
    require_in_window(stores, collection, at)
    for _ in attempts(stores.system, REREADS):
        try:
            resolved = _resolve_once(stores, collection, at)
        except ObjectNotFound:
            resolved = None
        if resolved is not None:
            return resolved
        collection = collections.require_stored(stores.table, collection.id)
    raise Unavailable(f"collection {collection.id} is being flushed too fast to read a point in time")


def entries_since(stores: Stores, collection: Collection, position: int) -> list[Entry] | None:
    """The entries after `position` up to the current checkpoint; None if the archives have not retained all of them.

    Raises ObjectNotFound, Corrupt, Unavailable.
    """
    archived = list(_entries_after(stores, collection, position, ()))
    is_complete = [entry.seq for entry in archived] == list(range(position + 1, collection.flushed_seq + 1))
    return archived if is_complete else None


def require_in_window(stores: Stores, collection: Collection, at: PointInTime) -> None:
    """Check the point against the clock, the retention time and the fork of the collection. Raises InvalidArgument."""
    now, retention_seconds = entries.milliseconds(stores.system.now()), stores.settings.retention_seconds
    if not retention_seconds and not at.is_recent:
        raise InvalidArgument("time travel is disabled (AFTERGLOW_RETENTION_SECONDS is 0)")
    if at.time is not None:
        if at.time > now:
            raise InvalidArgument(f"{at} is in the future")
        if at.time < entries.milliseconds(collection.created_at):
            raise InvalidArgument(f"{at} is before collection [{collection.name}] was created")
        if at.time < now - entries.milliseconds(retention_seconds):
            raise _outside_retention(at)
    elif (at.position or 0) < collection.fork_position:
        raise InvalidArgument(f"{at} is before the fork [{collection.name}] was created")


def _outside_retention(at: PointInTime) -> InvalidArgument:
    return InvalidArgument(
        f"{at} is outside the retention window (AFTERGLOW_RETENTION_SECONDS, AFTERGLOW_RETENTION_BYTES)"
    )


def _resolve_once(stores: Stores, collection: Collection, at: PointInTime) -> ResolvedPoint | None:
    """Steps 1 to 3; None if a flush has trimmed the log in between."""
    log_slice = log.read_after(stores.table, collection.id, collection.flushed_seq)
    if log_slice.trimmed:
        return None
    base = _base_checkpoint(stores, collection, at)
    log_time, flushed_seq = (0, 0) if base is None else (base.log_time, base.flushed_seq)
    included: list[Entry] = []
    for entry in _entries_after(stores, collection, flushed_seq, log_slice.entries):
        if entry.seq != flushed_seq + len(included) + 1:
            # Flushed while retention was off, or outside the retention window.
            raise _outside_retention(at)
        log_time = advance_log_time(log_time, entry)
        if not at.includes(entry, log_time):
            resolved = ResolvedPoint(collection, base, tuple(included))
            _require_in_past(collection, resolved.position, at)
            return resolved
        included.append(entry)
    resolved = ResolvedPoint(collection, base, tuple(included))
    _require_in_past(collection, resolved.position, at)
    if at.position is not None and resolved.position < at.position:
        if at.position <= collection.flushed_seq:
            raise _outside_retention(at)
        raise InvalidArgument(f"{at} does not exist yet: the log ends at {resolved.position}")
    return resolved


def _require_in_past(collection: Collection, position: int, at: PointInTime) -> None:
    if position < collection.oldest_position:
        raise _outside_retention(at)


def _base_checkpoint(stores: Stores, collection: Collection, at: PointInTime) -> ManifestRef | None:
    """The newest checkpoint that is not later than the point and is retained as long as the point can be read."""
    if collection.manifest_key is None:
        return None
    manifest_keys = list(manifests.list_keys(stores.objects, collection.id))
    length = entries.milliseconds(stores.settings.retention_seconds)
    window = RetentionWindow(entries.milliseconds(stores.system.now()) - length, length)
    durable = retention.durable_checkpoints(
        retention.list_manifests(manifest_keys, collection.manifest_key, collection.fork_base, collection.past_start),
        window,
    )
    not_later = [checkpoint for checkpoint in durable if _is_not_later(checkpoint, at)]
    return not_later[-1] if not_later else None


def _is_not_later(checkpoint: ManifestRef, at: PointInTime) -> bool:
    if at.position is not None:
        return checkpoint.flushed_seq <= at.position
    return checkpoint.log_time <= (at.time or 0)


def _entries_after(
    stores: Stores, collection: Collection, position: int, unflushed: Sequence[Entry]
) -> Iterator[Entry]:
    """The entries after `position`, in order; missing entries leave a gap in the numbers."""
    if position < collection.flushed_seq:
        archives = archive.list_archives(stores.objects, collection.id)
        for entry in _in_order(stores, [ref for ref in archives if ref.last > position], position):
            position = entry.seq
            yield entry
    for entry in unflushed:
        if entry.seq > position and entry.kind is not EntryKind.SEAL:
            yield entry


def _in_order(stores: Stores, archives: Sequence[Archive], position: int) -> Iterator[Entry]:
    """The entries of archives, which may overlap after a race between indexers."""
    for ref in sorted(archives, key=lambda ref: (ref.first, -ref.last)):
        if ref.last <= position:
            continue
        for entry in archive.load(stores.objects, ref):
            if entry.seq > position:
                position = entry.seq
                yield entry
