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

from afterglow.catalog import state as states
from afterglow.catalog.model import Collection
from afterglow.errors import InvalidArgument, NotFound, Unavailable
from afterglow.log import archive, entry
from afterglow.log import read as log
from afterglow.log.archive import Archive
from afterglow.log.entry import Entry, Kind, following
from afterglow.segment import manifest as manifests
from afterglow.segment import retention as anchors
from afterglow.segment.manifest import Place
from afterglow.segment.retention import Window
from afterglow.storage.ports import ObjectMissing, Stores

_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Moment:
    """The number of the last entry, or a time in Unix milliseconds: one of the two is given."""

    position: int | None = None
    time: int | None = None

    def holds(self, each: Entry, clock: int) -> bool:
        """Whether an entry, at which the log's time is `clock`, belongs to it."""
        return each.seq <= self.position if self.position is not None else clock <= (self.time or 0)

    def __str__(self) -> str:
        if self.position is not None:
            return f"log position {self.position}"
        return datetime.fromtimestamp((self.time or 0) / 1000, UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class Past:
    """A moment found: start from `base` (None: from nothing) and apply `entries`, which follow it without a gap.

    `collection` is the state as of now: names, schema and metadata have no past.
    """

    collection: Collection
    base: Place | None
    entries: tuple[Entry, ...]

    @property
    def position(self) -> int:
        """The number of the last entry."""
        return self.entries[-1].seq if self.entries else self.folded

    @property
    def folded(self) -> int:
        """The number of the entry after which `entries` begin."""
        return 0 if self.base is None else self.base.folded


def find(stores: Stores, collection: Collection, moment: Moment) -> Past:
    """The collection (which may be dropped) as of a moment. Raises InvalidArgument where that is not to be had.

    Raises NotFound, Corrupt, Unavailable too.
    """
    _refuse(stores, collection, moment)
    for _ in range(_ATTEMPTS):
        try:
            found = _found(stores, collection, moment)
        except ObjectMissing:
            found = None
        if found is not None:
            return found
        item = log.read_state(stores.table, collection.id)
        if item is None:
            raise NotFound(f"Collection [{collection.id}] does not exist.")
        collection = states.decode(item)
    raise Unavailable(f"collection {collection.id} is being folded too fast to read its past")


def since(stores: Stores, collection: Collection, position: int) -> list[Entry] | None:
    """The entries after number `position` that the checkpoint in force holds; None where they are not all kept.

    Raises ObjectMissing, Corrupt, Unavailable.
    """
    found = list(_after(stores, collection, position, ()))
    is_whole = [each.seq for each in found] == list(range(position + 1, collection.folded + 1))
    return found if is_whole else None


def _refuse(stores: Stores, collection: Collection, moment: Moment) -> None:
    now, retention = entry.milliseconds(stores.ambient.now()), stores.settings.retention_seconds
    if not retention:
        raise InvalidArgument("the past is not kept here: AFTERGLOW_RETENTION_SECONDS is 0")
    if moment.time is not None:
        if moment.time > now:
            raise InvalidArgument(f"{moment} is in the future")
        if moment.time < entry.milliseconds(collection.created):
            raise InvalidArgument(f"{moment} is before collection [{collection.name}] was made")
        if moment.time < now - entry.milliseconds(retention):
            raise _not_kept(moment)
    elif (moment.position or 0) < collection.origin:
        raise InvalidArgument(f"{moment} is before the fork [{collection.name}] was made")


def _not_kept(moment: Moment) -> InvalidArgument:
    return InvalidArgument(f"{moment} is past the time for which the past is kept (AFTERGLOW_RETENTION_SECONDS)")


def _found(stores: Stores, collection: Collection, moment: Moment) -> Past | None:
    """None where somebody came between."""
    news = log.read_after(stores.table, collection.id, collection.folded)
    if news.trimmed:
        return None
    base = _base(stores, collection, moment)
    clock, at, kept = 0 if base is None else base.clock, 0 if base is None else base.folded, list[Entry]()
    for each in _after(stores, collection, at, news.entries):
        if each.seq != at + len(kept) + 1:
            # What was folded while nothing was to be kept, or is past its time.
            raise _not_kept(moment)
        clock = following(clock, each)
        if not moment.holds(each, clock):
            return Past(collection, base, tuple(kept))
        kept.append(each)
    past = Past(collection, base, tuple(kept))
    if moment.position is not None and past.position < moment.position:
        raise InvalidArgument(f"{moment} is not there yet: the log ends at {past.position}")
    return past


def _base(stores: Stores, collection: Collection, moment: Moment) -> Place | None:
    """The newest checkpoint that is no later than the moment and stays while it can be read."""
    if collection.manifest is None:
        return None
    listed = [info.key for info in stores.objects.list(manifests.prefix(collection.id))]
    length = entry.milliseconds(stores.settings.retention_seconds)
    window = Window(entry.milliseconds(stores.ambient.now()) - length, length)
    steady = anchors.steady(anchors.checkpoints(listed, collection.manifest, collection.begins), window)
    early = [each for each in steady if _is_early(each, moment)]
    return early[-1] if early else None


def _is_early(place: Place, moment: Moment) -> bool:
    if moment.position is not None:
        return place.folded <= moment.position
    return place.clock <= (moment.time or 0)


def _after(stores: Stores, collection: Collection, position: int, unfolded: Sequence[Entry]) -> Iterator[Entry]:
    """The entries after number `position`, in order; those missing leave a gap."""
    if position < collection.folded:
        chosen = [each for each in archive.listed(stores.objects, collection.id) if each.last > position]
        for each in _in_order(stores, chosen, position):
            position = each.seq
            yield each
    for each in unfolded:
        if each.seq > position and each.kind is not Kind.FENCE:
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
