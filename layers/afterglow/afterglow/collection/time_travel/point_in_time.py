"""Finding a moment of the past in the log: the checkpoint to start from, and the entries to apply on it.

1. Read the state, and what is not folded yet.
2. List the manifests and choose the newest steady one (`segment.retention`) that is no later than the moment.
3. List the archives (`log.archive`) and read those after that manifest, up to the moment; then the unfolded entries.
   Where a fold, or the garbage collection, came between, begin again.

A **moment** is a time or the number of a log entry. The log as of a time is all before the first entry that is later,
by the clock of the log (`log.entry.following`): two readers of one moment get the same, for ever.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from afterglow.catalog import collections
from afterglow.catalog.model import Collection
from afterglow.errors import InvalidArgument, Unavailable
from afterglow.log import archive, entry
from afterglow.log import read as log
from afterglow.log.archive import Archive
from afterglow.log.entry import Entry, EntryKind, advance_log_time
from afterglow.segment import manifest as manifests
from afterglow.segment import retention as anchors
from afterglow.segment.manifest import ManifestRef
from afterglow.segment.retention import RetentionWindow
from afterglow.storage.ports import ObjectNotFound, Stores

_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class PointInTime:
    """The number of the last entry, or a time in Unix milliseconds: one of the two is given."""

    position: int | None = None
    time: int | None = None

    def includes(self, each: Entry, clock: int) -> bool:
        """Whether an entry, at which the log's time is `clock`, belongs to it."""
        return each.seq <= self.position if self.position is not None else clock <= (self.time or 0)

    def __str__(self) -> str:
        if self.position is not None:
            return f"log position {self.position}"
        return datetime.fromtimestamp((self.time or 0) / 1000, UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class ResolvedPoint:
    """A moment found: start from `base` (None: from nothing) and apply `entries`, which follow it without a gap.

    `collection` is the state as of now: names, schema and metadata have no past.
    """

    collection: Collection
    base: ManifestRef | None
    entries: tuple[Entry, ...]

    @property
    def position(self) -> int:
        """The number of the last entry."""
        return self.entries[-1].seq if self.entries else self.flushed_seq

    @property
    def flushed_seq(self) -> int:
        """The number of the entry after which `entries` begin."""
        return 0 if self.base is None else self.base.flushed_seq


def resolve(stores: Stores, collection: Collection, moment: PointInTime) -> ResolvedPoint:
    """The collection (which may be dropped) as of a moment. Raises InvalidArgument where that is not to be had.

    Raises NotFound, Corrupt, Unavailable too.
    """
    _validate(stores, collection, moment)
    for _ in range(_ATTEMPTS):
        try:
            found = _resolve_once(stores, collection, moment)
        except ObjectNotFound:
            found = None
        if found is not None:
            return found
        collection = collections.require_stored(stores.table, collection.id)
    raise Unavailable(f"collection {collection.id} is being folded too fast to read its past")


def entries_since(stores: Stores, collection: Collection, position: int) -> list[Entry] | None:
    """The entries after number `position` that the checkpoint in force holds; None where they are not all kept.

    Raises ObjectMissing, Corrupt, Unavailable.
    """
    found = list(_entries_after(stores, collection, position, ()))
    is_whole = [each.seq for each in found] == list(range(position + 1, collection.flushed_seq + 1))
    return found if is_whole else None


def _validate(stores: Stores, collection: Collection, moment: PointInTime) -> None:
    now, retention = entry.milliseconds(stores.system.now()), stores.settings.retention_seconds
    if not retention:
        raise InvalidArgument("the past is not kept here: AFTERGLOW_RETENTION_SECONDS is 0")
    if moment.time is not None:
        if moment.time > now:
            raise InvalidArgument(f"{moment} is in the future")
        if moment.time < entry.milliseconds(collection.created_at):
            raise InvalidArgument(f"{moment} is before collection [{collection.name}] was made")
        if moment.time < now - entry.milliseconds(retention):
            raise _outside_retention(moment)
    elif (moment.position or 0) < collection.fork_position:
        raise InvalidArgument(f"{moment} is before the fork [{collection.name}] was made")


def _outside_retention(moment: PointInTime) -> InvalidArgument:
    return InvalidArgument(f"{moment} is past the time for which the past is kept (AFTERGLOW_RETENTION_SECONDS)")


def _resolve_once(stores: Stores, collection: Collection, moment: PointInTime) -> ResolvedPoint | None:
    """None where somebody came between."""
    news = log.read_after(stores.table, collection.id, collection.flushed_seq)
    if news.trimmed:
        return None
    base = _base_checkpoint(stores, collection, moment)
    clock, at, kept = 0 if base is None else base.log_time, 0 if base is None else base.flushed_seq, list[Entry]()
    for each in _entries_after(stores, collection, at, news.entries):
        if each.seq != at + len(kept) + 1:
            # What was folded while nothing was to be kept, or is past its time.
            raise _outside_retention(moment)
        clock = advance_log_time(clock, each)
        if not moment.includes(each, clock):
            return ResolvedPoint(collection, base, tuple(kept))
        kept.append(each)
    past = ResolvedPoint(collection, base, tuple(kept))
    if moment.position is not None and past.position < moment.position:
        raise InvalidArgument(f"{moment} is not there yet: the log ends at {past.position}")
    return past


def _base_checkpoint(stores: Stores, collection: Collection, moment: PointInTime) -> ManifestRef | None:
    """The newest checkpoint that is no later than the moment and stays while it can be read."""
    if collection.manifest_key is None:
        return None
    listed = [info.key for info in stores.objects.list(manifests.prefix(collection.id))]
    length = entry.milliseconds(stores.settings.retention_seconds)
    window = RetentionWindow(entry.milliseconds(stores.system.now()) - length, length)
    steady = anchors.durable_checkpoints(
        anchors.list_manifests(listed, collection.manifest_key, collection.fork_base), window
    )
    early = [each for each in steady if _is_early(each, moment)]
    return early[-1] if early else None


def _is_early(place: ManifestRef, moment: PointInTime) -> bool:
    if moment.position is not None:
        return place.flushed_seq <= moment.position
    return place.log_time <= (moment.time or 0)


def _entries_after(stores: Stores, collection: Collection, position: int, unfolded: Sequence[Entry]) -> Iterator[Entry]:
    """The entries after number `position`, in order; those missing leave a gap."""
    if position < collection.flushed_seq:
        chosen = [each for each in archive.list_archives(stores.objects, collection.id) if each.last > position]
        for each in _in_order(stores, chosen, position):
            position = each.seq
            yield each
    for each in unfolded:
        if each.seq > position and each.kind is not EntryKind.SEAL:
            yield each


def _in_order(stores: Stores, chosen: Sequence[Archive], position: int) -> Iterator[Entry]:
    """Archives may overlap, where indexers raced."""
    for each in sorted(chosen, key=lambda each: (each.first, -each.last)):
        if each.last <= position:
            continue
        for found in archive.load(stores.objects, each):
            if found.seq > position:
                position = found.seq
                yield found
