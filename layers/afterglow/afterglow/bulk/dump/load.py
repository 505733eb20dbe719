"""Restores a database from a dump (protocol: `bulk.dump.layout`)."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from uuid import UUID

import orjson

from afterglow.bulk.dump import layout
from afterglow.bulk.dump.layout import DumpedCollection, DumpStore
from afterglow.catalog import Catalog, Collection, Database, collections, deletions, embedding_functions, keys, ttl
from afterglow.catalog.deletions import DeletionRecord
from afterglow.collection.write.lifecycle import function_policy
from afterglow.collection.write.notification import notify_indexer
from afterglow.errors import AlreadyExists, Corrupt, Unavailable
from afterglow.jobs.commit import choose_format
from afterglow.log import archive
from afterglow.log import entry as entries
from afterglow.log.entry import Entry
from afterglow.segment import manifest as manifests
from afterglow.segment.array_file import FileRef
from afterglow.segment.manifest import Manifest, SegmentInfo
from afterglow.storage.ports import ConditionFailed, ObjectNotFound, Put, Stores

_LEASE_SECONDS = 24 * 3600.0
_WORKERS = 4

OnLoaded = Callable[[str, int], None]
"""Receives the name of a collection whenever one of its files is restored, and the size of that file in bytes."""


@dataclass(slots=True)
class LoadReport:
    """Collections restored now, with the bytes of their files, and those restored by an earlier run."""

    loaded: int = 0
    already_present: int = 0
    size: int = 0


def load_dump(
    stores: Stores, dump_store: DumpStore, tenant: str, database: str, wrote: OnLoaded = lambda _name, _size: None
) -> LoadReport:
    """Restore every collection of the dump; creates the database if it does not exist. Restored collections stay.

    Raises AlreadyExists, before anything is restored, if the database has another collection with the name of one;
    InvalidArgument, before anything is restored, for an embedding function that this process does not store; NotFound,
    Corrupt, Unavailable, StorageFull.
    """
    dump = layout.read(dump_store)
    target = _open_database(stores, tenant, database)
    marks = {item.sk: item.value for item in stores.table.query(keys.restore_marks_partition(target.namespace_id))}
    missing = [
        collection for collection in dump.collections if not _is_restored(stores, target, collection, dump.at, marks)
    ]
    policy = function_policy(stores.settings)
    for collection in missing:
        embedding_functions.check(embedding_functions.in_schema(collection.schema), policy)
    report = LoadReport(already_present=len(dump.collections) - len(missing))
    for collection in missing:
        report.size += _CollectionLoader(stores, dump_store, target, dump.at, wrote).load(collection)
        report.loaded += 1
    return report


def _open_database(stores: Stores, tenant: str, database: str) -> Database:
    catalog = Catalog(stores.table, stores.system)
    if tenant not in catalog.list_tenants():
        catalog.create_tenant(tenant)
    return catalog.find_database(tenant, database) or catalog.create_database(tenant, database)


def _is_restored(
    stores: Stores, database: Database, collection: DumpedCollection, at: float, marks: dict[str, bytes]
) -> bool:
    """Whether an earlier run restored it from this dump. Raises AlreadyExists if another collection has its name."""
    present = collections.by_name(stores.table, database, collection.name)
    if present is None:
        return False
    if marks.get(collection.name) == _mark(present.id, at):
        return True
    raise AlreadyExists(
        f"collection {collection.name!r} already exists in database {database.name!r} of tenant {database.tenant!r}: "
        f"restore into another database"
    )


def _mark(collection_id: UUID, at: float) -> bytes:
    return orjson.dumps({"id": str(collection_id), "backup": at})


class _CollectionLoader:
    """Restores one collection under a new id; a deletion record of the id exists until the collection does."""

    def __init__(self, stores: Stores, dump_store: DumpStore, database: Database, at: float, wrote: OnLoaded) -> None:
        self._stores = stores
        self._dump_store = dump_store
        self._database = database
        self._at = at
        self._wrote = wrote
        self._id = stores.system.new_id()

    def load(self, dumped: DumpedCollection) -> int:
        """Restore the collection; returns the bytes of its files."""
        now = self._stores.system.now()
        record = deletions.stage(
            self._stores.table, DeletionRecord(self._id, now + _LEASE_SECONDS, skip_retention=True)
        )
        try:
            self._load(dumped, record)
        except BaseException:
            # The objects are purged by the next maintenance, not a day from now.
            deletions.update(self._stores.table, replace(record, deleted_at=now))
            raise
        return dumped.size

    def _load(self, dumped: DumpedCollection, record: DeletionRecord) -> None:
        manifest = None if dumped.manifest is None else self._copy_segments(dumped.name, dumped.manifest)
        key = None
        if manifest is not None:
            nonce, stored_format = self._stores.system.nonce(), choose_format(self._stores)
            key = manifests.store(self._stores.objects, manifest, nonce, stored_format)
        unflushed = self._put_log(dumped)
        collection = Collection(
            id=self._id,
            name=dumped.name,
            tenant=self._database.tenant,
            database=self._database.name,
            namespace_id=self._database.namespace_id,
            schema=dumped.schema,
            metadata=dumped.metadata,
            dimension=dumped.dimension,
            manifest_key=key,
            flushed_seq=0 if manifest is None else manifest.flushed_seq,
            flushed_ops=0 if manifest is None else manifest.flushed_ops,
            next_expiry=ttl.unknown_expiry(dumped.metadata),
            created_at=self._stores.system.now(),
        )
        mark = Put(keys.restore_marks_partition(self._database.namespace_id), dumped.name, _mark(self._id, self._at))
        try:
            self._stores.table.transact(
                [*collections.creation_writes(collection), deletions.commit_write(record), mark]
            )
        except ConditionFailed:
            if not collections.resolve_create_conflict(self._stores.table, collection):
                raise Unavailable(f"restoring collection {dumped.name!r} took too long: run it again") from None
        if unflushed:
            notify_indexer(self._stores, self._id, str(unflushed[-1].seq))

    def _copy_segments(self, name: str, dumped: Manifest) -> Manifest:
        """Copy the files of the segments; returns the manifest of the new collection."""
        segments = []
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="afterglow-restore") as workers:
            for dumped_segment in dumped.segments:
                segment = self._rename_files(dumped_segment)
                for size in workers.map(self._copy_file, segment.objects):
                    self._wrote(name, size)
                segments.append(segment)
        # The log has no flushed entries, so there is nothing to trim.
        return replace(dumped, collection=self._id, trimmed_seq=dumped.flushed_seq, segments=tuple(segments))

    def _rename_files(self, segment: SegmentInfo) -> SegmentInfo:
        """The segment with the keys of its files in the new collection."""
        prefix = f"{manifests.segments_prefix(self._id)}{segment.id}/"
        files = {role: replace(file, key=f"{prefix}{role}") for role, file in segment.files.items()}
        vector = segment.deletions
        deletions_file = vector and replace(vector, key=f"{prefix}{vector.key.rpartition('/')[2]}")
        return replace(segment, files=files, deletions=deletions_file)

    def _copy_file(self, file: FileRef) -> int:
        source, target = (
            (self._dump_store.objects, self._dump_store.key(file.checksum)),
            (self._stores.objects, file.key),
        )
        try:
            return layout.copy_object(source, target, file.checksum, self._stores.system)
        except ObjectNotFound as error:
            raise Corrupt(f"{self._dump_store.name} is incomplete: {error.message}") from None

    def _put_log(self, dumped: DumpedCollection) -> Sequence[Entry]:
        """Put the unflushed entries, with their payloads; returns the new entries."""
        if dumped.log is None:
            return ()
        dumped_entries = archive.decode(self._read_content(dumped.log), self._dump_store.key(dumped.log))
        unflushed = [self._copy_payload(entry) for entry in dumped_entries]
        pk = keys.collection(self._id)
        self._stores.table.put_many([Put(pk, entries.key(entry.seq), entries.encode(entry)) for entry in unflushed])
        return unflushed

    def _copy_payload(self, entry: Entry) -> Entry:
        if entry.payload_key is None:
            return entry
        now = entries.milliseconds(self._stores.system.now())
        key = entries.payload_key(self._id, now, entry.nonce)
        self._stores.objects.put(key, self._read_content(entry.payload_key))
        return replace(entry, payload_key=key)

    def _read_content(self, checksum: str) -> bytes:
        try:
            content = self._dump_store.objects.get(self._dump_store.key(checksum))
        except ObjectNotFound as error:
            raise Corrupt(f"{self._dump_store.name} is incomplete: {error.message}") from None
        return layout.verify(content, checksum, self._dump_store.key(checksum))
