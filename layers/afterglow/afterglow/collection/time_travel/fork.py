"""Forking: a new collection that begins as another is, or was, naming the same objects.

1. Read the source's state with what is not folded yet, or find a moment of its past (`collection.time_travel.point_in_time`).
2. Where there are such entries: note the fork among what is dropped, then put the entries, as they are, at the same
   numbers of its own log. Their batches are not copied. *Crash after: the note has them cleaned away.*
3. In one transaction: the fork's state, which names the source's manifest, its name, both as members of a family, the
   note removed; and the source's state as it was read. Where that was changed since, as by a fold, begin again with a
   new id. *Crash before: as in 2. After: the fork is there.*

So a fork costs a few items, whatever it holds, and not an object. Nothing that it names can be collected meanwhile: who
collects reads the source's state first and the family afterwards (`jobs.gc`), so that it either finds the fork, or
found the state that the fork found too; and what is of the past stays for the grace time after its time is over, of
which a fork may take half.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from afterglow.catalog import collections, deletions, keys, lineage, ttl
from afterglow.catalog import state as states
from afterglow.catalog.deletions import Dropped
from afterglow.catalog.lineage import Member
from afterglow.catalog.model import Collection, Database
from afterglow.collection.time_travel import point_in_time
from afterglow.collection.time_travel.point_in_time import Moment, Past
from afterglow.collection.write.write_path import tell_indexer
from afterglow.errors import NotFound, Unavailable
from afterglow.log import entry as entries
from afterglow.log import read as log
from afterglow.log.entry import Entry, Kind
from afterglow.segment import manifest as manifests
from afterglow.storage.ports import ConditionFailed, Put, Stores, Write

_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """What the fork is to be called, and where."""

    place: Database
    name: str


def fork(stores: Stores, source_id: UUID, wish: Wish, moment: Moment | None) -> Collection:
    """Make the fork of a collection as of now, or of a moment; of one that is dropped only the latter.

    Raises NotFound, AlreadyExists, InvalidArgument where the moment is not to be had, Unavailable, StorageFull.
    """
    for _ in range(_ATTEMPTS):
        begun = stores.ambient.now()
        past = (
            _now(stores, source_id) if moment is None else point_in_time.find(stores, _state(stores, source_id), moment)
        )
        made = _made(stores, past, wish)
        written = _noted(stores, made, past)
        if stores.ambient.now() - begun > stores.settings.garbage_grace_seconds / 2:
            continue
        if _published(stores, past, made, written):
            if past.entries:
                tell_indexer(stores, made.id, str(past.position))
            return made
    raise Unavailable(f"collection {source_id} is being folded too fast to fork it")


def _state(stores: Stores, source_id: UUID) -> Collection:
    item = log.read_state(stores.table, source_id)
    if item is None:
        raise NotFound(f"Collection [{source_id}] does not exist.")
    return states.decode(item)


def _now(stores: Stores, source_id: UUID) -> Past:
    for _ in range(_ATTEMPTS):
        state = _state(stores, source_id)
        news = log.read_after(stores.table, source_id, state.folded)
        newest = None if news.state is None else states.decode(news.state)
        if newest is None or newest.dropped or any(each.kind is Kind.FENCE for each in news.entries):
            raise NotFound(f"Collection [{source_id}] does not exist.")
        if not news.trimmed and newest.manifest == state.manifest:
            base = None if newest.manifest is None else manifests.place(newest.manifest)
            return Past(newest, base, tuple(news.entries))
    raise Unavailable(f"collection {source_id} is being folded too fast to fork it")


def _made(stores: Stores, past: Past, wish: Wish) -> Collection:
    """The fork's state."""
    base, source = past.base, past.collection
    return replace(
        source,
        id=stores.ambient.new_id(),
        name=wish.name,
        tenant=wish.place.tenant,
        database=wish.place.name,
        home=wish.place.home,
        manifest=None if base is None else base.key,
        folded=0 if base is None else base.folded,
        folded_ops=0 if base is None else base.folded_ops,
        expires=ttl.unknown(source.metadata),
        dropped=False,
        created=stores.ambient.now(),
        origin=past.position,
        begins=None if base is None else base.key,
        family=source.family or source.id,
        version=1,
    )


def _noted(stores: Stores, made: Collection, past: Past) -> Dropped | None:
    """Put the entries under a note; None where there are none."""
    if not past.entries:
        return None
    note = deletions.begin(stores.table, Dropped(made.id, stores.ambient.now(), forget=True))
    pk = keys.collection(made.id)
    stores.table.put_many([Put(pk, entries.key(each.seq), entries.encode(each)) for each in past.entries])
    return note


def _published(stores: Stores, past: Past, made: Collection, note: Dropped | None) -> bool:
    """Whether it is done; False: the source was changed meanwhile. Raises NotFound, AlreadyExists."""
    source, family = past.collection, past.collection.family or past.collection.id
    member = Member(made.id, made.begins, made.origin, _payload_times(past.entries))
    writes: list[Write] = [
        *collections.creation(made),
        Put(
            keys.collection(source.id),
            keys.STATE,
            states.encode(replace(source, family=family)),
            if_version=source.version,
        ),
        lineage.put(family, member),
        *([] if note is None else [deletions.finish(note)]),
    ]
    if source.family is None:
        writes.append(lineage.put(family, Member(source.id, dropped=source.dropped)))
    try:
        stores.table.transact(writes)
    except ConditionFailed:
        return collections.is_created(stores.table, made)
    return True


def _payload_times(copied: Sequence[Entry]) -> tuple[int, int] | None:
    times = [entries.payload_time(each.object) for each in copied if each.object is not None]
    return (min(times), max(times)) if times else None
