"""The live objects of a collection: what its current readers and time travel can reach.

* the manifests that `segment.retention` selects, and everything that they name;
* the batches that entries of its log name, as long as an entry is no placeholder;
* for time travel, all archives and batches of entries after the oldest retained checkpoint;
* the batches of writes in flight, which no entry names yet.

Batches of archived entries, and those of writes in flight, are selected by time instead of by lookup: the time in the
key of a batch is not earlier than the log time before its entry, less half the grace time (`log.append.stamp`). So it
is the log's own time that decides, whatever the clocks of writers and collectors do.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from afterglow.catalog import keys, lineage
from afterglow.catalog import state as states
from afterglow.catalog.lineage import LineageMember
from afterglow.catalog.model import Collection
from afterglow.log import archive
from afterglow.log import entry as entries
from afterglow.log.entry import Entry, EntryKind
from afterglow.segment import manifest as manifests
from afterglow.segment import retention
from afterglow.segment.manifest import ManifestRef
from afterglow.segment.retention import RetentionWindow
from afterglow.storage.clock import earliest_now
from afterglow.storage.ports import ObjectNotFound, Objects, Stores

_CACHE_ENTRIES = 512


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A manifest, and the earliest time (Unix ms) in the keys of batches after it."""

    manifest: ManifestRef
    payload_time: int


@dataclass(frozen=True, slots=True)
class LiveObjects:
    """The keys of live manifests with what they name, and of batches that the log names.

    Also live are entries after number `oldest_seq`, and batches whose keys have the time `oldest_payload_time` (Unix
    ms) or a later one; None: all batches. A batch that no entry has named so far may be that of a write in flight if
    its key has the time `in_flight_since` or a later one. `manifest_keys` are all manifests, live or not, from before
    the live ones were selected. `checkpoints` are the live ones from which points in time can be read, ascending.
    """

    keys: frozenset[str]
    payload_keys: frozenset[str]
    oldest_seq: int
    oldest_payload_time: int | None
    in_flight_since: int
    manifest_keys: tuple[str, ...]
    checkpoints: tuple[Checkpoint, ...] = ()


def live_objects(stores: Stores, state: Collection) -> LiveObjects:
    """The live objects as of this state or a newer one. Raises ObjectNotFound, Corrupt, Unavailable."""
    listed = tuple(manifests.list_keys(stores.objects, state.id))
    if state.manifest_key is None:
        return LiveObjects(frozenset(listed), _batches(_entries(stores, state, 0)), 0, None, 0, listed)
    grace = entries.milliseconds(stores.settings.gc_grace_seconds)
    now = entries.milliseconds(earliest_now(stores.table, stores.system))
    window_ms = entries.milliseconds(stores.settings.retention_seconds)
    window = RetentionWindow(now - window_ms - grace, window_ms) if window_ms else None
    listing = retention.list_manifests(listed, state.manifest_key, state.fork_base, state.past_start)
    retained = retention.select_retained(listing, window)
    log = _entries(stores, state, manifests.load(stores.objects, state.manifest_key).trimmed_seq)
    current = manifests.parse_key(state.manifest_key)
    last = max([current.flushed_seq, *(entry.seq for entry in log)])
    log_time = max([current.log_time, *(entry.appended_at for entry in log)])
    checkpoints = tuple(
        Checkpoint(ref, log_time + 1 if ref.flushed_seq == last else ref.log_time - 2 * grace)
        for ref in retained.manifests
        if ref.number <= current.number
    )
    return LiveObjects(
        keys=frozenset().union(*(_named_by(stores.objects, ref.key, state.manifest_key) for ref in retained.manifests)),
        payload_keys=_batches(log),
        oldest_seq=0 if retained.oldest is None else retained.oldest.flushed_seq,
        oldest_payload_time=None if retained.oldest is None else checkpoints[0].payload_time,
        in_flight_since=log_time - grace,
        manifest_keys=listed,
        checkpoints=checkpoints,
    )


def _named_by(objects: Objects, key: str, current: str) -> frozenset[str]:
    """A manifest and what it names; nothing if it was collected meanwhile."""
    try:
        return objects_of_manifest(objects, key)
    except ObjectNotFound:
        if key == current:
            raise
        return frozenset()


_named: OrderedDict[str, dict[str, int]] = OrderedDict()
"""LRU cache: the files of a manifest, with their bytes, by its key, which is unique."""


def objects_of_manifest(objects: Objects, key: str) -> frozenset[str]:
    """The key of a manifest and of all objects that it names. Raises ObjectNotFound, Corrupt, Unavailable."""
    return frozenset([key, *files_of_manifest(objects, key)])


def files_of_manifest(objects: Objects, key: str) -> dict[str, int]:
    """The bytes of all objects that a manifest names, by key. Raises ObjectNotFound, Corrupt, Unavailable."""
    found = _named.pop(key, None)
    if found is None:
        segments = manifests.load(objects, key).segments
        found = {file.key: file.size for segment in segments for file in segment.objects}
    _named[key] = found
    while len(_named) > _CACHE_ENTRIES:
        _named.popitem(last=False)
    return found


def _entries(stores: Stores, state: Collection, trimmed: int) -> list[Entry]:
    """The entries after number `trimmed` that have an item."""
    items = stores.table.query(keys.collection(state.id), after=entries.key(trimmed), before=entries.AFTER_ALL)
    return [entries.decode(item) for item in items]


def _batches(log: Iterable[Entry]) -> frozenset[str]:
    batches = (entry for entry in log if entry.kind is EntryKind.BATCH)
    return frozenset(entry.payload_key for entry in batches if entry.payload_key is not None)


def is_own_key(key: str, collection_id: UUID) -> bool:
    """Whether an object of the collection can have this key; others with its prefix are not ours, and stay."""
    return (
        manifests.is_key(key, collection_id)
        or manifests.is_segment_file(key, collection_id)
        or archive.is_key(key, collection_id)
        or entries.is_payload_key(key, collection_id)
    )


def referenced_by_forks(stores: Stores, state: Collection, candidates: Iterable[str]) -> set[str]:
    """The candidates that are live for another member of the lineage: a fork, a fork of a fork, or an ancestor.

    Must be called after the state was read and the candidates were listed (`collection.time_travel.fork`).
    """
    if state.lineage_id is None:
        return set()
    remaining, referenced = set(candidates), set[str]()
    for member in lineage.members(stores.table, state.lineage_id):
        if not remaining:
            break
        if member.id != state.id:
            live = _referenced_by(stores, member, remaining, entries.payload_prefix(state.id))
            referenced |= live
            remaining -= live
    return referenced


def _referenced_by(stores: Stores, member: LineageMember, candidates: set[str], batch_prefix: str) -> set[str]:
    inherited = (
        frozenset[str]() if member.base_manifest is None else objects_of_manifest(stores.objects, member.base_manifest)
    )
    files = candidates & inherited
    batches = [key for key in candidates if key.startswith(batch_prefix) and _is_within(key, member.payload_times)]
    if not files and not batches:
        return set()
    item = stores.table.get(keys.collection(member.id), keys.STATE)
    if item is None:
        return set()
    fork = states.decode(item)
    try:
        live = live_objects(stores, fork)
    except ObjectNotFound:
        if fork.is_dropped:
            return set()  # its objects are being deleted, or gone
        raise
    # Its base manifest defines what it inherited, as long as it is a member of the lineage.
    referenced = {key for key in files if key in live.keys or key == member.base_manifest}
    referenced.update(key for key in batches if live.oldest_seq < member.fork_position or key in live.payload_keys)
    return referenced


def _is_within(key: str, times: tuple[int, int] | None) -> bool:
    return times is not None and times[0] <= entries.payload_time(key) <= times[1]
