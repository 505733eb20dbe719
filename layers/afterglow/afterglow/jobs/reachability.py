"""What a collection needs of what is stored: for its readers now, and for those who read its past.

* the manifests that `segment.retention` keeps, and all that they name;
* the batches that its log names which is no stub yet;
* the archives, and the batches that those name, of all entries after its `base`.

Batches of archived entries are not looked up but told by their age: the time in a batch's key is not much before that
of its entry (`log.append.renewed`), nor does the clock of a writer go wrong by more than the grace time.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from afterglow.catalog import keys, lineage
from afterglow.catalog import state as states
from afterglow.catalog.lineage import LineageMember
from afterglow.catalog.model import Collection
from afterglow.log import entry as entries
from afterglow.log.entry import Entry
from afterglow.segment import manifest as manifests
from afterglow.segment import retention as anchors
from afterglow.segment.retention import RetainedManifests, RetentionWindow
from afterglow.storage.ports import ObjectNotFound, Objects, Stores

_CACHE_ENTRIES = 512


@dataclass(frozen=True, slots=True)
class LiveObjects:
    """`names` are keys of manifests and of what those name, `batches` of batches that the log names.

    Entries after number `folded` are needed, and batches whose keys are as old as `since` (Unix ms) or newer; None: all
    there are.
    """

    keys: frozenset[str]
    payload_keys: frozenset[str]
    oldest_seq: int
    oldest_payload_time: int | None


def live_objects(stores: Stores, state: Collection) -> LiveObjects:
    """What the collection needs, as of this state or a newer one. Raises ObjectMissing, Corrupt, Unavailable."""
    listed = [info.key for info in stores.objects.list(manifests.prefix(state.id))]
    if state.manifest_key is None:
        return LiveObjects(frozenset(listed), _batches(_entries(stores, state, 0)), 0, None)
    grace, now = (entries.milliseconds(each) for each in (stores.settings.gc_grace_seconds, stores.system.now()))
    retention = entries.milliseconds(stores.settings.retention_seconds)
    window = RetentionWindow(now - retention - grace, retention) if retention else None
    found = anchors.select_retained(anchors.list_manifests(listed, state.manifest_key, state.fork_base), window)
    log = _entries(stores, state, manifests.load(stores.objects, state.manifest_key).trimmed_seq)
    last = max([manifests.parse_key(state.manifest_key).flushed_seq, *(each.seq for each in log)])
    return LiveObjects(
        keys=frozenset().union(*(_kept(stores.objects, each.key, state.manifest_key) for each in found.manifests)),
        payload_keys=_batches(log),
        oldest_seq=0 if found.oldest is None else found.oldest.flushed_seq,
        oldest_payload_time=now - grace if window is None else _since(found, window, last, grace),
    )


def _since(found: RetainedManifests, window: RetentionWindow, last: int, grace: int) -> int | None:
    """How old batches may be whose entries come after the base; `last` is the number of the log's last entry."""
    if found.oldest is None:
        return None
    # Where nothing comes after the base, there is only what is about to be appended.
    return (window.since if found.oldest.flushed_seq == last else found.oldest.log_time) - 2 * grace


def _kept(objects: Objects, key: str, in_force: str) -> frozenset[str]:
    """A manifest and what it names; nothing where it was collected meanwhile."""
    try:
        return objects_of_manifest(objects, key)
    except ObjectNotFound:
        if key == in_force:
            raise
        return frozenset()


_named: OrderedDict[str, frozenset[str]] = OrderedDict()
"""What manifests name, by their keys, which tell one from every other; those asked for last."""


def objects_of_manifest(objects: Objects, key: str) -> frozenset[str]:
    """A manifest's key and those of all objects that it names. Raises ObjectMissing, Corrupt, Unavailable."""
    found = _named.pop(key, None)
    if found is None:
        segments = manifests.load(objects, key).segments
        found = frozenset([key, *(file.key for segment in segments for file in segment.objects)])
    _named[key] = found
    while len(_named) > _CACHE_ENTRIES:
        _named.popitem(last=False)
    return found


def _entries(stores: Stores, state: Collection, trimmed: int) -> list[Entry]:
    """What the table has of the log after number `trimmed`."""
    items = stores.table.query(keys.collection(state.id), after=entries.key(trimmed), before=entries.AFTER_ALL)
    return [entries.decode(each) for each in items]


def _batches(log: Iterable[Entry]) -> frozenset[str]:
    return frozenset(each.payload_key for each in log if each.payload_key is not None)


def referenced_by_forks(stores: Stores, state: Collection, candidates: Iterable[str]) -> set[str]:
    """Those of the collection's objects that forks need which were made of it, or of such.

    To be called after `state` was read and the candidates were found (`collection.time_travel.fork`).
    """
    if state.lineage_id is None:
        return set()
    wanted, claimed = set(candidates), set[str]()
    for member in lineage.members(stores.table, state.lineage_id):
        if not wanted:
            break
        if member.id != state.id:
            mine = _claimed(stores, member, wanted, entries.payload_prefix(state.id))
            claimed |= mine
            wanted -= mine
    return claimed


def _claimed(stores: Stores, member: LineageMember, wanted: set[str], batch_prefix: str) -> set[str]:
    taken_over = (
        frozenset[str]() if member.base_manifest is None else objects_of_manifest(stores.objects, member.base_manifest)
    )
    files = wanted & taken_over
    batches = [key for key in wanted if key.startswith(batch_prefix) and _is_within(key, member.payload_times)]
    if not files and not batches:
        return set()
    item = stores.table.get(keys.collection(member.id), keys.STATE)
    if item is None:
        return set()
    relative = states.decode(item)
    try:
        needs = live_objects(stores, relative)
    except ObjectNotFound:
        if relative.is_dropped:
            return set()  # its objects are being deleted, or gone
        raise
    # What it began with tells what it took over, as long as it is a member.
    claimed = {key for key in files if key in needs.keys or key == member.base_manifest}
    claimed.update(key for key in batches if needs.oldest_seq < member.fork_position or key in needs.payload_keys)
    return claimed


def _is_within(key: str, times: tuple[int, int] | None) -> bool:
    return times is not None and times[0] <= entries.payload_time(key) <= times[1]
