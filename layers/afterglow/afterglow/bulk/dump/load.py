"""Restoring a database from a copy (protocol: `bulk.dump.layout`)."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from uuid import UUID

import orjson

from afterglow.bulk.dump import layout
from afterglow.bulk.dump.layout import DumpedCollection, DumpStore
from afterglow.catalog import Catalog, Collection, Database, collections, deletions, keys, ttl
from afterglow.catalog.deletions import DeletionRecord
from afterglow.collection.write.write_path import notify_indexer
from afterglow.errors import AlreadyExists, Corrupt, Unavailable
from afterglow.log import archive
from afterglow.log import entry as entries
from afterglow.log.entry import Entry
from afterglow.segment import manifest as manifests
from afterglow.segment.array_file import FileRef
from afterglow.segment.manifest import Manifest, SegmentInfo
from afterglow.storage.ports import ConditionFailed, ObjectNotFound, Put, Stores

_LEASE_SECONDS = 24 * 3600.0
_SIDE_BY_SIDE = 4

OnLoaded = Callable[[str, int], None]
"""Is told of a collection's name and of bytes that are restored now."""


@dataclass(slots=True)
class LoadReport:
    """What a restore made, and what it had made before."""

    loaded: int = 0
    already_present: int = 0
    size: int = 0


def load_dump(
    stores: Stores, vault: DumpStore, tenant: str, database: str, wrote: OnLoaded = lambda _name, _size: None
) -> LoadReport:
    """Make every collection of the copy in the database, which is made where it is missing; those made before stay.

    Raises AlreadyExists, before anything is made, where the database has another collection of one's name; NotFound,
    Corrupt, Unavailable, StorageFull.
    """
    saved = layout.read(vault)
    place = _place(stores, tenant, database)
    marks = {item.sk: item.value for item in stores.table.query(keys.restore_marks_partition(place.namespace_id))}
    missing = [each for each in saved.collections if not _is_made(stores, place, each, saved.at, marks)]
    report = LoadReport(already_present=len(saved.collections) - len(missing))
    for each in missing:
        report.size += _CollectionLoader(stores, vault, place, saved.at, wrote).make(each)
        report.loaded += 1
    return report


def _place(stores: Stores, tenant: str, database: str) -> Database:
    catalog = Catalog(stores.table, stores.system)
    if tenant not in catalog.list_tenants():
        catalog.create_tenant(tenant)
    return catalog.find_database(tenant, database) or catalog.create_database(tenant, database)


def _is_made(stores: Stores, place: Database, each: DumpedCollection, at: float, marks: dict[str, bytes]) -> bool:
    """Whether a restore of this copy has made it. Raises AlreadyExists where another has its name."""
    present = collections.by_name(stores.table, place, each.name)
    if present is None:
        return False
    if marks.get(each.name) == _mark(present.id, at):
        return True
    raise AlreadyExists(
        f"collection {each.name!r} is there already in database {place.name!r} of tenant {place.tenant!r}: "
        f"restore into another database"
    )


def _mark(made: UUID, at: float) -> bytes:
    return orjson.dumps({"id": str(made), "backup": at})


class _CollectionLoader:
    """One collection in the making; its new id is noted as to be cleaned until it is there."""

    def __init__(self, stores: Stores, vault: DumpStore, place: Database, at: float, wrote: OnLoaded) -> None:
        self._stores = stores
        self._vault = vault
        self._place = place
        self._at = at
        self._wrote = wrote
        self._id = stores.system.new_id()

    def make(self, each: DumpedCollection) -> int:
        """Make it; the bytes of its files."""
        now = self._stores.system.now()
        note = deletions.stage(self._stores.table, DeletionRecord(self._id, now + _LEASE_SECONDS, skip_retention=True))
        try:
            self._make(each, note)
        except BaseException:
            # Cleaned away soon, not a day from now.
            deletions.update(self._stores.table, replace(note, deleted_at=now))
            raise
        return each.size

    def _make(self, each: DumpedCollection, note: DeletionRecord) -> None:
        manifest = None if each.manifest is None else self._manifest(each.name, each.manifest)
        key = None if manifest is None else manifests.store(self._stores.objects, manifest, self._stores.system.nonce())
        tail = self._tail(each)
        made = Collection(
            id=self._id,
            name=each.name,
            tenant=self._place.tenant,
            database=self._place.name,
            namespace_id=self._place.namespace_id,
            schema=each.schema,
            metadata=each.metadata,
            dimension=each.dimension,
            manifest_key=key,
            flushed_seq=0 if manifest is None else manifest.flushed_seq,
            flushed_ops=0 if manifest is None else manifest.flushed_ops,
            next_expiry=ttl.unknown_expiry(each.metadata),
            created_at=self._stores.system.now(),
        )
        mark = Put(keys.restore_marks_partition(self._place.namespace_id), each.name, _mark(made.id, self._at))
        try:
            self._stores.table.transact([*collections.creation_writes(made), deletions.commit_write(note), mark])
        except ConditionFailed:
            if not collections.resolve_create_conflict(self._stores.table, made):
                raise Unavailable(f"restoring collection {each.name!r} took too long: run it again") from None
        if tail:
            notify_indexer(self._stores, made.id, str(tail[-1].seq))

    def _manifest(self, name: str, saved: Manifest) -> Manifest:
        """The manifest for the new collection, its files copied."""
        segments = []
        with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="afterglow-restore") as workers:
            for each in saved.segments:
                moved = self._segment(each)
                for size in workers.map(self._file, moved.objects):
                    self._wrote(name, size)
                segments.append(moved)
        # Nothing is left to trim of a log whose folded entries are not there.
        return replace(saved, collection=self._id, trimmed_seq=saved.flushed_seq, segments=tuple(segments))

    def _segment(self, saved: SegmentInfo) -> SegmentInfo:
        prefix = f"{manifests.segments_prefix(self._id)}{saved.id}/"
        files = {role: replace(file, key=f"{prefix}{role}") for role, file in saved.files.items()}
        dead = saved.deletions and replace(saved.deletions, key=f"{prefix}{saved.deletions.key.rpartition('/')[2]}")
        return replace(saved, files=files, deletions=dead)

    def _file(self, file: FileRef) -> int:
        source, target = (self._vault.objects, self._vault.key(file.checksum)), (self._stores.objects, file.key)
        try:
            return layout.copy_object(source, target, file.checksum, self._stores.system)
        except ObjectNotFound as error:
            raise Corrupt(f"{self._vault.name} is not whole: {error.message}") from None

    def _tail(self, each: DumpedCollection) -> Sequence[Entry]:
        """Put the entries that are not folded, with their batches."""
        if each.log is None:
            return ()
        found = archive.decode(self._content(each.log), self._vault.key(each.log))
        moved = [self._entry(entry) for entry in found]
        pk = keys.collection(self._id)
        self._stores.table.put_many([Put(pk, entries.key(entry.seq), entries.encode(entry)) for entry in moved])
        return moved

    def _entry(self, entry: Entry) -> Entry:
        if entry.payload_key is None:
            return entry
        at = entries.milliseconds(self._stores.system.now())
        key = entries.payload_key(self._id, at, entry.nonce)
        self._stores.objects.put(key, self._content(entry.payload_key))
        return replace(entry, payload_key=key)

    def _content(self, checksum: str) -> bytes:
        try:
            content = self._vault.objects.get(self._vault.key(checksum))
        except ObjectNotFound as error:
            raise Corrupt(f"{self._vault.name} is not whole: {error.message}") from None
        return layout.verify(content, checksum, self._vault.key(checksum))
