"""Verification: whether what the table names is there, whole, and in agreement. It only reads.

Of each collection, and of what goes wrong with one nothing stands in the way of the next:

1. **Name and state**: the name points to a state that says the same name, tenant and database.
2. **Manifest**: it matches the checksum in its key, and its invariants hold.
3. **Files**: each object that it names has the length and checksum that it says (`jobs.checksums`).
4. **Segments**: each opens and has the rows claimed; of all live rows together, ids and insertion ordinals are unique,
   ordinals lie below the next one, and they are as many as the manifest says.
5. **Log**: the numbers after the last folded entry have no gap, each entry can be read, and its batch is there and
   matches its checksum. Folded entries that still have an item can be read.
6. **Together**: checkpoint and log applied, ids are unique and as many as a reader counts.

Beside a server at work things move while they are looked at: a checkpoint is replaced and collected, a collection is
renamed or dropped. So a problem counts only where name and state are the same after the look as before it; else all is
looked at again, and in a collection that never stays the same counts what every look has found.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog import Catalog, Collection, Database, collections, keys
from afterglow.catalog import state as states
from afterglow.collection.replica.checkpoint import graph_parameters
from afterglow.collection.replica.replica import Replica
from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.errors import AfterglowError, Corrupt
from afterglow.jobs import checksums
from afterglow.log import entry as entries
from afterglow.log import read as log
from afterglow.log.entry import Entry, EntryKind
from afterglow.log.read import LogTrimmed
from afterglow.segment import id_index
from afterglow.segment import manifest as manifests
from afterglow.segment.manifest import Manifest
from afterglow.segment.reader import Segment, read_deletions
from afterglow.storage.ports import Item, ObjectNotFound, Stores

_MAX_READS = 10
_SHOWN = 3

OnBytesRead = Callable[[int], None]
"""Is told of the bytes that were compared."""


@dataclass(frozen=True, slots=True)
class NamedCollection:
    """A name of a database, and the collection that it points to."""

    database: Database
    name: str
    collection: UUID

    def __str__(self) -> str:
        return f"{self.database.tenant}/{self.database.name}/{self.name}"


@dataclass(slots=True)
class VerifyReport:
    """What was looked at of a collection, and what is wrong with it, a sentence each."""

    named: NamedCollection
    records: int = 0
    segments: int = 0
    entries: int = 0
    size: int = 0
    problems: list[str] = field(default_factory=list)


def all_collections(stores: Stores) -> Iterator[NamedCollection]:
    """Every name of every database."""
    catalog = Catalog(stores.table, stores.system)
    for tenant in catalog.list_tenants():
        for database in catalog.list_databases(tenant):
            for name, collection in collections.list_names(stores.table, database.namespace_id):
                yield NamedCollection(database, name, collection)


def verify(stores: Stores, named: NamedCollection, looked: OnBytesRead = lambda _: None) -> VerifyReport | None:
    """Look at one collection; None where the name has gone meanwhile. Raises Unavailable."""
    looks: list[VerifyReport] = []
    while len(looks) < _MAX_READS:
        before = _moment(stores, named)
        if before is None:
            return None
        found = _look(stores, named, before.state, looked)
        if not found.problems or _moment(stores, named) == before:
            return found
        looks.append(found)
    always = set.intersection(*(set(each.problems) for each in looks))
    return replace(looks[-1], problems=sorted(always))


@dataclass(frozen=True, slots=True)
class _Identity:
    """What must not change for a problem to count: where the name points, and the state."""

    state: Item | None


def _moment(stores: Stores, named: NamedCollection) -> _Identity | None:
    if (named.name, named.collection) not in collections.list_names(stores.table, named.database.namespace_id):
        return None
    return _Identity(collections.read_state(stores.table, named.collection))


def _look(stores: Stores, named: NamedCollection, item: Item | None, looked: OnBytesRead) -> VerifyReport:
    found = VerifyReport(named)
    if item is None:
        found.problems.append(f"the name points to collection {named.collection}, which has no state")
        return found
    try:
        state = states.decode(item)
    except Corrupt as error:
        found.problems.append(error.message)
        return found
    _check_state(found, state)
    is_whole = _check_checkpoint(stores, found, state, looked)
    is_readable = _check_log(stores, found, state)
    if is_whole and is_readable:
        _check_together(stores, found)
    return found


def _check_state(found: VerifyReport, state: Collection) -> None:
    named = found.named
    said = (state.tenant, state.database, state.name)
    if (
        said != (named.database.tenant, named.database.name, named.name)
        or state.namespace_id != named.database.namespace_id
    ):
        found.problems.append(f"the state of collection {state.id} is that of {'/'.join(said)}")
    if state.id != named.collection:
        found.problems.append(f"the state of collection {named.collection} says that it is {state.id}")
    if state.is_dropped:
        found.problems.append(f"the name points to collection {state.id}, which is dropped")


def _check_checkpoint(stores: Stores, found: VerifyReport, state: Collection, looked: OnBytesRead) -> bool:
    """Manifest, files and segments; whether they can be used."""
    if state.manifest_key is None:
        return True
    before = len(found.problems)
    try:
        manifest = manifests.load(stores.objects, state.manifest_key)
    except (Corrupt, ObjectNotFound) as error:
        found.problems.append(error.message)
        return False
    if manifest.flushed_seq != state.flushed_seq or manifest.flushed_ops != state.flushed_ops:
        found.problems.append(
            f"manifest {state.manifest_key} is folded to entry {manifest.flushed_seq} ({manifest.flushed_ops} operations), "
            f"the state says {state.flushed_seq} ({state.flushed_ops})"
        )
    found.records, found.segments = manifest.records, len(manifest.segments)
    for file in (file for segment in manifest.segments for file in segment.objects):
        problem = checksums.checksum_problem(stores.objects, file)
        if problem is not None:
            found.problems.append(f"object {file.key} {problem}")
        found.size += file.size
        looked(file.size)
    if len(found.problems) > before:
        return False
    found.problems += _check_segments(stores, state, manifest)
    return len(found.problems) == before


def _check_segments(stores: Stores, state: Collection, manifest: Manifest) -> list[str]:
    problems, parts = [], []
    for info in manifest.segments:
        try:
            segment = Segment(stores.objects, info, graph_parameters(state), verify=False)
            parts.append(RowGroupView(segment.rows, read_deletions(stores.objects, info)))
        except (Corrupt, ObjectNotFound) as error:
            problems.append(error.message)
    if problems:
        return problems
    return _check_parts(parts, manifest.records, manifest.next_row_seq, f"manifest {state.manifest_key}")


def _check_parts(parts: Sequence[RowGroupView], records: int, next_ordinal: int, who: str) -> list[str]:
    """Whether the live rows are what `who` says of them."""
    problems = []
    rows = [_live_rows(each) for each in parts]
    count = sum(map(len, rows))
    if count != records:
        problems.append(f"{who} claims {records} records, there are {count}")
    problems += [f"{who}: record id {each!r} is there twice" for each in _repeated_ids(parts, rows)[:_SHOWN]]
    own = [each.rows.row_seqs[some] for each, some in zip(parts, rows, strict=True)]
    ordinals = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *own]))
    if (ordinals[1:] == ordinals[:-1]).any():
        problems.append(f"{who}: an insertion ordinal is there twice")
    if len(ordinals) and ordinals[-1] >= next_ordinal:
        problems.append(f"{who}: insertion ordinal {int(ordinals[-1])} is not below the next one, {next_ordinal}")
    return problems


def _live_rows(live: RowGroupView) -> NDArray[np.int64]:
    return np.arange(live.rows.rows) if live.deleted is None else np.flatnonzero(~live.deleted)


def _repeated_ids(parts: Sequence[RowGroupView], rows: Sequence[NDArray[np.int64]]) -> list[str]:
    """Ids that more than one live row has: sought among those whose hashes are."""
    found: list[NDArray[np.uint64]] = [np.empty(0, dtype=np.uint64)]
    for live, some in zip(parts, rows, strict=True):
        hashes, hashed = id_index.build(live.rows.ids)
        found.append(hashes[np.isin(hashed, some)])
    together = np.sort(np.concatenate(found))
    suspects = np.unique(together[1:][together[1:] == together[:-1]])
    if not len(suspects):
        return []
    counts: Counter[str] = Counter()
    for live, some in zip(parts, rows, strict=True):
        hashes, hashed = id_index.build(live.rows.ids)
        suspected = np.intersect1d(hashed[np.isin(hashes, suspects)], some)
        counts.update((each or b"").decode() for each in live.rows.ids.take(suspected))
    return sorted(each for each, count in counts.items() if count > 1)


def _check_log(stores: Stores, found: VerifyReport, state: Collection) -> bool:
    """The entries that have items; whether those after the checkpoint can be applied."""
    pk = keys.collection(state.id)
    for item in stores.table.query(pk, after=entries.BEFORE_ALL, before=entries.key(state.flushed_seq + 1)):
        try:
            entries.decode(item)
        except Corrupt as error:
            found.problems.append(error.message)
    before, expected = len(found.problems), state.flushed_seq
    for item in stores.table.query(pk, after=entries.key(state.flushed_seq), before=entries.AFTER_ALL):
        expected += 1
        try:
            entry = entries.decode(item)
        except Corrupt as error:
            found.problems.append(error.message)
            continue
        if entry.seq != expected:
            found.problems.append(f"the log of collection {state.id} has no entry {expected}; {entry.seq} is there")
            expected = entry.seq
        found.problems += _check_entry(stores, state, entry)
        found.entries += 1
    return len(found.problems) == before


def _check_entry(stores: Stores, state: Collection, entry: Entry) -> list[str]:
    if entry.kind is EntryKind.PLACEHOLDER:
        return [
            f"log entry {entry.seq} of collection {state.id} is a stub, but the checkpoint ends at {state.flushed_seq}"
        ]
    try:
        list(log.load_batches(stores, state.id, [entry]))
    except Corrupt as error:
        return [error.message]
    except LogTrimmed:
        return [f"log entry {entry.seq} of collection {state.id} has gone"]
    return []


def _check_together(stores: Stores, found: VerifyReport) -> None:
    # What the files hold was compared above.
    unverified = replace(stores, settings=replace(stores.settings, verify_checksums=False))
    try:
        view = Replica(unverified, found.named.collection).snapshot()
    except AfterglowError as error:
        found.problems.append(f"collection {found.named.collection} cannot be opened: {error.message}")
        return
    found.records = view.records
    found.problems += _check_parts(view.row_groups, view.records, view.next_row_seq, f"log entry {view.applied_seq}")
