"""Restoring a database from a copy (protocol: `bulk.dump.layout`)."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from uuid import UUID

import orjson

from afterglow.bulk.dump import layout
from afterglow.bulk.dump.layout import SavedCollection, Vault
from afterglow.catalog import Catalog, Collection, Database, collections, deletions, keys, ttl
from afterglow.catalog.deletions import Dropped
from afterglow.collection.write.write_path import tell_indexer
from afterglow.errors import AlreadyExists, Corrupt, Unavailable
from afterglow.log import archive
from afterglow.log import entry as entries
from afterglow.log.entry import Entry
from afterglow.segment import manifest as manifests
from afterglow.segment.array_file import FileInfo
from afterglow.segment.manifest import Manifest, SegmentInfo
from afterglow.storage.ports import ConditionFailed, ObjectMissing, Put, Stores

_LEASE_SECONDS = 24 * 3600.0
_SIDE_BY_SIDE = 4

Wrote = Callable[[str, int], None]
"""Is told of a collection's name and of bytes that are restored now."""


@dataclass(slots=True)
class Report:
    """What a restore made, and what it had made before."""

    made: int = 0
    before: int = 0
    size: int = 0


def restore(
    stores: Stores, vault: Vault, tenant: str, database: str, wrote: Wrote = lambda _name, _size: None
) -> Report:
    """Make every collection of the copy in the database, which is made where it is missing; those made before stay.

    Raises AlreadyExists, before anything is made, where the database has another collection of one's name; NotFound,
    Corrupt, Unavailable, StorageFull.
    """
    saved = layout.read(vault)
    place = _place(stores, tenant, database)
    marks = {item.sk: item.value for item in stores.table.query(keys.restored(place.home))}
    missing = [each for each in saved.collections if not _is_made(stores, place, each, saved.at, marks)]
    report = Report(before=len(saved.collections) - len(missing))
    for each in missing:
        report.size += _Making(stores, vault, place, saved.at, wrote).make(each)
        report.made += 1
    return report


def _place(stores: Stores, tenant: str, database: str) -> Database:
    catalog = Catalog(stores.table, stores.ambient)
    if tenant not in catalog.list_tenants():
        catalog.create_tenant(tenant)
    return catalog.find_database(tenant, database) or catalog.create_database(tenant, database)


def _is_made(stores: Stores, place: Database, each: SavedCollection, at: float, marks: dict[str, bytes]) -> bool:
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


class _Making:
    """One collection in the making; its new id is noted as to be cleaned until it is there."""

    def __init__(self, stores: Stores, vault: Vault, place: Database, at: float, wrote: Wrote) -> None:
        self._stores = stores
        self._vault = vault
        self._place = place
        self._at = at
        self._wrote = wrote
        self._id = stores.ambient.new_id()

    def make(self, each: SavedCollection) -> int:
        """Make it; the bytes of its files."""
        now = self._stores.ambient.now()
        note = deletions.begin(self._stores.table, Dropped(self._id, now + _LEASE_SECONDS, forget=True))
        try:
            self._make(each, note)
        except BaseException:
            # Cleaned away soon, not a day from now.
            deletions.advance(self._stores.table, replace(note, at=now))
            raise
        return each.size

    def _make(self, each: SavedCollection, note: Dropped) -> None:
        manifest = None if each.manifest is None else self._manifest(each.name, each.manifest)
        key = (
            None if manifest is None else manifests.store(self._stores.objects, manifest, self._stores.ambient.nonce())
        )
        tail = self._tail(each)
        made = Collection(
            id=self._id,
            name=each.name,
            tenant=self._place.tenant,
            database=self._place.name,
            home=self._place.home,
            schema=each.schema,
            metadata=each.metadata,
            dimension=each.dimension,
            manifest=key,
            folded=0 if manifest is None else manifest.folded,
            folded_ops=0 if manifest is None else manifest.folded_ops,
            expires=ttl.unknown(each.metadata),
            created=self._stores.ambient.now(),
        )
        mark = Put(keys.restored(self._place.home), each.name, _mark(made.id, self._at))
        try:
            self._stores.table.transact([*collections.creation(made), deletions.finish(note), mark])
        except ConditionFailed:
            if not collections.is_created(self._stores.table, made):
                raise Unavailable(f"restoring collection {each.name!r} took too long: run it again") from None
        if tail:
            tell_indexer(self._stores, made.id, str(tail[-1].seq))

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
        return replace(saved, collection=self._id, trimmed=saved.folded, segments=tuple(segments))

    def _segment(self, saved: SegmentInfo) -> SegmentInfo:
        prefix = f"{manifests.segments_prefix(self._id)}{saved.id}/"
        files = {role: replace(file, key=f"{prefix}{role}") for role, file in saved.files.items()}
        dead = saved.dead and replace(saved.dead, key=f"{prefix}{saved.dead.key.rpartition('/')[2]}")
        return replace(saved, files=files, dead=dead)

    def _file(self, file: FileInfo) -> int:
        source, target = (self._vault.objects, self._vault.key(file.checksum)), (self._stores.objects, file.key)
        try:
            return layout.copied(source, target, file.checksum, self._stores.ambient)
        except ObjectMissing as error:
            raise Corrupt(f"{self._vault.name} is not whole: {error.message}") from None

    def _tail(self, each: SavedCollection) -> Sequence[Entry]:
        """Put the entries that are not folded, with their batches."""
        if each.log is None:
            return ()
        found = archive.unpack(self._content(each.log), self._vault.key(each.log))
        moved = [self._entry(entry) for entry in found]
        pk = keys.collection(self._id)
        self._stores.table.put_many([Put(pk, entries.key(entry.seq), entries.encode(entry)) for entry in moved])
        return moved

    def _entry(self, entry: Entry) -> Entry:
        if entry.object is None:
            return entry
        at = entries.milliseconds(self._stores.ambient.now())
        key = entries.payload_key(self._id, at, entry.nonce)
        self._stores.objects.put(key, self._content(entry.object))
        return replace(entry, object=key)

    def _content(self, checksum: str) -> bytes:
        try:
            content = self._vault.objects.get(self._vault.key(checksum))
        except ObjectMissing as error:
            raise Corrupt(f"{self._vault.name} is not whole: {error.message}") from None
        return layout.checked(content, checksum, self._vault.key(checksum))
