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
from afterglow.catalog.lineage import Member
from afterglow.catalog.model import Collection
from afterglow.log import entry as entries
from afterglow.log.entry import Entry
from afterglow.segment import manifest as manifests
from afterglow.segment import retention as anchors
from afterglow.segment.retention import Anchors, Window
from afterglow.storage.ports import ObjectMissing, Objects, Stores

_REMEMBERED = 512


@dataclass(frozen=True, slots=True)
class Needs:
    """`names` are keys of manifests and of what those name, `batches` of batches that the log names.

    Entries after number `folded` are needed, and batches whose keys are as old as `since` (Unix ms) or newer; None: all
    there are.
    """

    names: frozenset[str]
    batches: frozenset[str]
    folded: int
    since: int | None


def needs_of(stores: Stores, state: Collection) -> Needs:
    """What the collection needs, as of this state or a newer one. Raises ObjectMissing, Corrupt, Unavailable."""
    listed = [info.key for info in stores.objects.list(manifests.prefix(state.id))]
    if state.manifest is None:
        return Needs(frozenset(listed), _batches(_entries(stores, state, 0)), 0, None)
    grace, now = (entries.milliseconds(each) for each in (stores.settings.garbage_grace_seconds, stores.ambient.now()))
    retention = entries.milliseconds(stores.settings.retention_seconds)
    window = Window(now - retention - grace, retention) if retention else None
    found = anchors.kept(anchors.checkpoints(listed, state.manifest, state.begins), window)
    log = _entries(stores, state, manifests.load(stores.objects, state.manifest).trimmed)
    last = max([manifests.place(state.manifest).folded, *(each.seq for each in log)])
    return Needs(
        names=frozenset().union(*(_kept(stores.objects, each.key, state.manifest) for each in found.kept)),
        batches=_batches(log),
        folded=0 if found.base is None else found.base.folded,
        since=now - grace if window is None else _since(found, window, last, grace),
    )


def _since(found: Anchors, window: Window, last: int, grace: int) -> int | None:
    """How old batches may be whose entries come after the base; `last` is the number of the log's last entry."""
    if found.base is None:
        return None
    # Where nothing comes after the base, there is only what is about to be appended.
    return (window.since if found.base.folded == last else found.base.clock) - 2 * grace


def _kept(objects: Objects, key: str, in_force: str) -> frozenset[str]:
    """A manifest and what it names; nothing where it was collected meanwhile."""
    try:
        return named_by(objects, key)
    except ObjectMissing:
        if key == in_force:
            raise
        return frozenset()


_named: OrderedDict[str, frozenset[str]] = OrderedDict()
"""What manifests name, by their keys, which tell one from every other; those asked for last."""


def named_by(objects: Objects, key: str) -> frozenset[str]:
    """A manifest's key and those of all objects that it names. Raises ObjectMissing, Corrupt, Unavailable."""
    found = _named.pop(key, None)
    if found is None:
        segments = manifests.load(objects, key).segments
        found = frozenset([key, *(file.key for segment in segments for file in segment.objects)])
    _named[key] = found
    while len(_named) > _REMEMBERED:
        _named.popitem(last=False)
    return found


def _entries(stores: Stores, state: Collection, trimmed: int) -> list[Entry]:
    """What the table has of the log after number `trimmed`."""
    items = stores.table.query(keys.collection(state.id), after=entries.key(trimmed), before=entries.AFTER_ALL)
    return [entries.decode(each) for each in items]


def _batches(log: Iterable[Entry]) -> frozenset[str]:
    return frozenset(each.object for each in log if each.object is not None)


def claimed_by_relatives(stores: Stores, state: Collection, candidates: Iterable[str]) -> set[str]:
    """Those of the collection's objects that forks need which were made of it, or of such.

    To be called after `state` was read and the candidates were found (`collection.time_travel.fork`).
    """
    if state.family is None:
        return set()
    wanted, claimed = set(candidates), set[str]()
    for member in lineage.members(stores.table, state.family):
        if not wanted:
            break
        if member.id != state.id:
            mine = _claimed(stores, member, wanted, entries.payload_prefix(state.id))
            claimed |= mine
            wanted -= mine
    return claimed


def _claimed(stores: Stores, member: Member, wanted: set[str], batch_prefix: str) -> set[str]:
    taken_over = frozenset[str]() if member.begins is None else named_by(stores.objects, member.begins)
    files = wanted & taken_over
    batches = [key for key in wanted if key.startswith(batch_prefix) and _is_within(key, member.payloads)]
    if not files and not batches:
        return set()
    item = stores.table.get(keys.collection(member.id), keys.STATE)
    if item is None:
        return set()
    relative = states.decode(item)
    try:
        needs = needs_of(stores, relative)
    except ObjectMissing:
        if relative.dropped:
            return set()  # its objects are being deleted, or gone
        raise
    # What it began with tells what it took over, as long as it is a member.
    claimed = {key for key in files if key in needs.names or key == member.begins}
    claimed.update(key for key in batches if needs.folded < member.origin or key in needs.batches)
    return claimed


def _is_within(key: str, times: tuple[int, int] | None) -> bool:
    return times is not None and times[0] <= entries.payload_time(key) <= times[1]
