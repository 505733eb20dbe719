"""Repairs a collection that cannot be opened: keeps everything that is whole, and names what is lost.

Two repairs are considered, and the one that loses fewer operations is taken:

* **To the last whole entry**: the newest checkpoint whose files are all intact, and the log entries after it, from the
  table and the archives, up to the first one that is missing or damaged. A damaged index of a segment is no loss: it
  is left out, and built again by a compaction.
* **Without the damaged segments**: the newest manifest that can be read, without the segments that are damaged, and the
  log after it. If no manifest can be read, only the log after the checkpoint is left.

The steps are those of a restore:

1. If the checkpoint differs from the stored one: put its manifest. *Crash after: an orphan.*
2. Fork the collection from that checkpoint and those entries (`collection.time_travel.fork`), and open the fork, which
   reads everything. *Crash after: the fork exists under its first name.*
3. In one transaction the fork takes the name, and the damaged collection is dropped; then seal its log. *Crash between:
   the maintenance job seals it.*

The damaged collection can be restored like any dropped one, as far as it can be read. Its objects that the repaired one
uses stay. Whatever happens, the damaged collection is not changed before step 3.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count

from afterglow.catalog import collections, keys
from afterglow.catalog.model import Collection
from afterglow.collection.replica.replica import Replica
from afterglow.collection.time_travel.fork import ForkRequest, fork_resolved
from afterglow.collection.time_travel.point_in_time import ResolvedPoint
from afterglow.errors import Corrupt
from afterglow.jobs import checksums
from afterglow.jobs.every_collection import NamedCollection
from afterglow.log import append, archive
from afterglow.log import entry as entries
from afterglow.log import read as log
from afterglow.log.entry import Entry, EntryKind, advance_log_time
from afterglow.log.read import LogTrimmed
from afterglow.segment import manifest as manifests
from afterglow.segment.contents import CONTENTS, PLACES
from afterglow.segment.list_index import CENTROIDS, LISTS
from afterglow.segment.manifest import GRAPH, RECORDS, REDUCED_GRAPH, Manifest, SegmentInfo
from afterglow.storage.ports import ObjectNotFound, Stores

_MAX_NAME_LENGTH = 400
_INDEX_ROLES = frozenset({GRAPH, REDUCED_GRAPH, RECORDS, LISTS, CENTROIDS, PLACES, CONTENTS})
"""Files that repeat what the others of a segment hold."""


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """How a collection would be repaired: `base` and then `entries`; `losses` are sentences, none if nothing is lost.

    `base_key` is the key of the manifest if it is stored unchanged. `log_end` is the number of the last entry known.
    """

    target: NamedCollection
    collection: Collection
    base: Manifest
    base_key: str | None
    entries: tuple[Entry, ...]
    log_end: int
    lost_ops: int
    losses: tuple[str, ...]

    @property
    def position(self) -> int:
        """The number of the last log entry of the repaired collection."""
        return self.entries[-1].seq if self.entries else self.base.flushed_seq

    @property
    def log_time(self) -> datetime:
        """The time of that entry."""
        log_time = self.base.log_time
        for entry in self.entries:
            log_time = advance_log_time(log_time, entry)
        return datetime.fromtimestamp(log_time / 1000, UTC)


@dataclass(frozen=True, slots=True)
class RepairResult:
    """The repaired collection and its records."""

    collection: Collection
    records: int


def plan_repair(stores: Stores, target: NamedCollection) -> RepairPlan:
    """The repair of a damaged collection. Raises NotFound, Unavailable, and Corrupt if its state cannot be read."""
    collection = collections.require(stores.table, target.collection)
    source = _Source(stores, target, collection)
    plans = [plan for plan in (source.to_last_whole_entry(), source.without_damaged_segments()) if plan is not None]
    return min(plans, key=lambda plan: plan.lost_ops)


def repair(stores: Stores, plan: RepairPlan) -> RepairResult:
    """Carry out a plan; returns the repaired collection. Raises NotFound, Corrupt, Unavailable, StorageFull."""
    collection, key = plan.collection, plan.base_key
    if key is None and plan.base.flushed_seq:
        own = replace(plan.base, collection=collection.id)  # that of a fork may belong to its source
        key = manifests.store(stores.objects, own, stores.system.nonce())
    base = None if key is None else manifests.parse_key(key)
    stamp = datetime.fromtimestamp(stores.system.now(), UTC).strftime("%Y%m%dT%H%M%SZ")
    request = ForkRequest(plan.target.database, f"{collection.name[:_MAX_NAME_LENGTH]}-repaired-{stamp}")

    def resolve() -> ResolvedPoint:
        return ResolvedPoint(collections.require(stores.table, collection.id), base, plan.entries)

    forked = fork_resolved(stores, collection.id, request, resolve)
    records = Replica(stores, forked.id).snapshot().records
    repaired = collections.swap_name(stores.table, stores.system, collection.id, forked.id)
    _seal(stores, collection, plan.log_end)
    return RepairResult(repaired, records)


def _seal(stores: Stores, collection: Collection, log_end: int) -> None:
    """Seal the log after its last entry, which may be damaged."""
    seal = append.seal_entry(stores.system)
    for seq in count(log_end + 1):
        try:
            if append.append_at(stores, collection.id, seal, seq, None):
                return
        except Corrupt:
            continue


class _Source:
    """What is left of a damaged collection."""

    def __init__(self, stores: Stores, target: NamedCollection, collection: Collection) -> None:
        self._stores = stores
        self._target = target
        self._collection = collection
        self._logged = dict(_logged_entries(stores, collection))
        self._log_end = max([collection.flushed_seq, *self._logged])
        self._intact: dict[str, bool] = {}
        logged = [entry for seq, entry in self._logged.items() if seq > collection.flushed_seq and entry is not None]
        self._total_ops = collection.flushed_ops + sum(entry.op_count for entry in logged)

    def to_last_whole_entry(self) -> RepairPlan | None:
        """The repair that keeps a prefix of the log; None if not even its first entry is there."""
        base, key = self._newest_intact_checkpoint()
        following = self._entries_after(base.flushed_seq)
        if not base.flushed_seq and not following and self._log_end:
            return None
        return self._plan(base, key, following, lost_rows=0)

    def without_damaged_segments(self) -> RepairPlan:
        """The repair that keeps what is intact of the newest manifest, and the log after it."""
        collection, newest = self._collection, self._newest_manifest()
        if newest is None:
            log_time = 0 if collection.manifest_key is None else manifests.parse_key(collection.manifest_key).log_time
            newest = Manifest(
                collection.id,
                flushed_seq=collection.flushed_seq,
                flushed_ops=collection.flushed_ops,
                log_time=log_time,
                trimmed_seq=collection.flushed_seq,
            )
            return self._plan(newest, None, self._entries_after(newest.flushed_seq), lost_rows=collection.flushed_ops)
        segments = tuple(usable for info in newest.segments if (usable := self._usable(info)) is not None)
        records = sum(info.live_rows for info in segments)
        base = replace(newest, segments=segments, records=records)
        return self._plan(base, None, self._entries_after(base.flushed_seq), lost_rows=newest.records - records)

    def _plan(self, base: Manifest, key: str | None, following: tuple[Entry, ...], *, lost_rows: int) -> RepairPlan:
        position = following[-1].seq if following else base.flushed_seq
        ops = base.flushed_ops + sum(entry.op_count for entry in following)
        losses = []
        if lost_rows:
            losses.append(f"{lost_rows} records or more, in segments that are damaged")
        if position < self._log_end:
            lost = max(self._total_ops - ops, 0)
            losses.append(f"log entries {position + 1} to {self._log_end}, about {lost} operations")
        lost_ops = lost_rows + max(self._total_ops - ops, self._log_end - position, 0)
        arguments = (self._target, self._collection, base, key, following, self._log_end)
        return RepairPlan(*arguments, lost_ops=lost_ops, losses=tuple(losses))

    def _manifests(self) -> Iterator[tuple[str, Manifest]]:
        """The manifests that can be read, the newest first."""
        collection = self._collection
        listed = set(manifests.list_keys(self._stores.objects, collection.id))
        others = {key for key in (collection.manifest_key, collection.fork_base) if key is not None}
        for ref in sorted(map(manifests.parse_key, listed | others), key=lambda ref: (-ref.flushed_seq, -ref.number)):
            try:
                yield ref.key, manifests.load(self._stores.objects, ref.key)
            except (Corrupt, ObjectNotFound):
                continue

    def _newest_manifest(self) -> Manifest | None:
        return next((manifest for _, manifest in self._manifests()), None)

    def _newest_intact_checkpoint(self) -> tuple[Manifest, str | None]:
        for key, manifest in self._manifests():
            segments = [self._usable(info) for info in manifest.segments]
            usable = tuple(info for info in segments if info is not None)
            if len(usable) == len(segments):
                return (manifest, key) if usable == manifest.segments else (replace(manifest, segments=usable), None)
        return Manifest(self._collection.id), None

    def _usable(self, info: SegmentInfo) -> SegmentInfo | None:
        """The segment, without its index if only that is damaged; None if it is damaged."""
        damaged = {file.key for file in info.objects if not self._is_intact(info, file.key)}
        if not damaged:
            return info
        data = {role: file for role, file in info.files.items() if role not in _INDEX_ROLES}
        if damaged <= {info.files[role].key for role in info.files.keys() - data.keys()}:
            return replace(info, files=data)
        return None

    def _is_intact(self, info: SegmentInfo, key: str) -> bool:
        if key not in self._intact:
            file = next(file for file in info.objects if file.key == key)
            self._intact[key] = checksums.checksum_problem(self._stores.objects, file) is None
        return self._intact[key]

    def _entries_after(self, position: int) -> tuple[Entry, ...]:
        """The whole entries that follow a position, up to the first one that is missing or damaged."""
        stores, found = self._stores, dict[int, Entry]()
        for ref in archive.list_archives(stores.objects, self._collection.id):
            if ref.last > position:
                try:
                    archived = archive.load(stores.objects, ref)
                except (Corrupt, ObjectNotFound):
                    continue
                found.update((entry.seq, entry) for entry in archived)
        logged = {seq: entry for seq, entry in self._logged.items() if entry is not None}
        found.update((seq, entry) for seq, entry in logged.items() if entry.kind is EntryKind.BATCH)
        following = []
        while (entry := found.get(position + 1)) is not None and self._has_batch(entry):
            following.append(entry)
            position += 1
        return tuple(following)

    def _has_batch(self, entry: Entry) -> bool:
        try:
            list(log.load_batches(self._stores, self._collection.id, [entry]))
        except (Corrupt, LogTrimmed):
            return False
        return True


def _logged_entries(stores: Stores, collection: Collection) -> Iterator[tuple[int, Entry | None]]:
    """The entries of the table by number, None for a damaged one."""
    pk = keys.collection(collection.id)
    try:
        items = stores.table.query(pk, after=entries.BEFORE_ALL, before=entries.AFTER_ALL)
    except Corrupt:  # of one of them: read one by one
        yield from _read_one_by_one(stores, collection)
        return
    for item in items:
        try:
            entry = entries.decode(item)
        except Corrupt:
            number = item.sk.removeprefix(entries.LOG)
            if number.isdecimal():
                yield int(number), None
        else:
            yield entry.seq, entry


def _read_one_by_one(stores: Stores, collection: Collection) -> Iterator[tuple[int, Entry | None]]:
    for seq in count(collection.flushed_seq + 1):
        try:
            item = stores.table.get(keys.collection(collection.id), entries.key(seq))
            if item is None:
                return
            yield seq, entries.decode(item)
        except Corrupt:
            yield seq, None
