"""Dumps a database (protocol: `bulk.dump.layout`)."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from uuid import UUID

import xxhash

from afterglow.bulk.dump import layout
from afterglow.bulk.dump.layout import Dump, DumpedCollection, DumpStore
from afterglow.catalog import Catalog, Collection, Database, collections
from afterglow.catalog import state as states
from afterglow.errors import AlreadyExists, Corrupt, NotFound, Unavailable
from afterglow.log import archive
from afterglow.log import payload as payloads
from afterglow.log import read as log
from afterglow.log.entry import Entry, EntryKind
from afterglow.segment import manifest as manifests
from afterglow.segment.array_file import FileRef
from afterglow.storage.ports import ObjectNotFound, Stores

_ATTEMPTS = 20
_WORKERS = 4
_ORPHAN_AGE_SECONDS = 24 * 3600.0

OnCopied = Callable[[str, int], None]
"""Gets the name of a collection, and the bytes of one of its objects that the dump now has."""


@dataclass(slots=True)
class DumpReport:
    """Collections, objects and bytes of a dump; `new` objects of `size` bytes were written, `removed` ones deleted."""

    collections: int = 0
    objects: int = 0
    new: int = 0
    size: int = 0
    removed: int = 0


def create_dump(
    stores: Stores, database: Database, dump_store: DumpStore, wrote: OnCopied = lambda _name, _size: None
) -> DumpReport:
    """Dump the database. Raises AlreadyExists if the store has a dump of another database, Corrupt, Unavailable."""
    _require_same_database(dump_store, database)
    started_at = stores.system.now()
    writer = _DumpWriter(stores, dump_store, wrote)
    dumped = [writer.write(collection_id) for collection_id in _collection_ids(stores, database)]
    existing = tuple(collection for collection in dumped if collection is not None)
    dump = Dump(database.tenant, database.name, started_at, existing)
    layout.write(dump_store, dump)
    referenced = {dump_store.key(checksum) for collection in existing for checksum in collection.checksums}
    orphans = [
        info.key
        for info in dump_store.objects.list(dump_store.objects_prefix)
        if dump_store.is_own_key(info.key)
        and info.key not in referenced
        and info.modified < started_at - _ORPHAN_AGE_SECONDS
    ]
    dump_store.objects.delete_many(orphans)
    return DumpReport(len(existing), len(referenced), writer.new, writer.size, len(orphans))


def _require_same_database(dump_store: DumpStore, database: Database) -> None:
    try:
        present = layout.read(dump_store)
    except NotFound:
        return
    if (present.tenant, present.database) != (database.tenant, database.name):
        raise AlreadyExists(
            f"{dump_store.name} holds a backup of database {present.database!r} of tenant {present.tenant!r}: use "
            f"another directory or prefix for {database.name!r}"
        )


def _collection_ids(stores: Stores, database: Database) -> Sequence[UUID]:
    if Catalog(stores.table, stores.system).find_database(database.tenant, database.name) is None:
        raise NotFound(f"Database [{database.name}] not found. Are you sure it exists?")
    return [identifier for _, identifier in collections.list_names(stores.table, database.namespace_id)]


class _DumpWriter:
    """Writes the objects of a dump that are missing in its store."""

    def __init__(self, stores: Stores, dump_store: DumpStore, wrote: OnCopied) -> None:
        self.new = self.size = 0
        self._stores = stores
        self._dump_store = dump_store
        self._wrote = wrote
        self._sizes = {info.key: info.size for info in dump_store.objects.list(dump_store.objects_prefix)}

    def write(self, collection_id: UUID) -> DumpedCollection | None:
        """Copy a collection, None if it was deleted."""
        for _ in range(_ATTEMPTS):
            snapshot = _read_state(self._stores, collection_id)
            if snapshot is None:
                return None
            try:
                return self._copy(*snapshot)
            except ObjectNotFound:
                continue  # the checkpoint was replaced and deleted, or the entries were flushed
        raise Unavailable(f"collection {collection_id} is flushed too often to copy it")

    def _copy(self, state: Collection, entries: Sequence[Entry]) -> DumpedCollection:
        manifest = None if state.manifest_key is None else manifests.load(self._stores.objects, state.manifest_key)
        files = [] if manifest is None else [file for segment in manifest.segments for file in segment.objects]
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="afterglow-dump") as workers:
            for size in workers.map(self._copy_file, files):
                self._wrote(state.name, size)
        unflushed = [self._copy_entry(state, entry) for entry in entries]
        return DumpedCollection(
            name=state.name,
            schema=state.schema,
            metadata=state.metadata,
            dimension=state.dimension,
            manifest=manifest,
            log=self._put_content(state.name, archive.encode(unflushed)) if unflushed else None,
            payloads=tuple(entry.payload_key for entry in unflushed if entry.payload_key is not None),
        )

    def _copy_file(self, file: FileRef) -> int:
        key = self._dump_store.key(file.checksum)
        if self._sizes.get(key) != file.size:
            target = (self._dump_store.objects, key)
            size = layout.copy_object((self._stores.objects, file.key), target, file.checksum, self._stores.system)
            self._record_written(key, size)
        return file.size

    def _copy_entry(self, state: Collection, entry: Entry) -> Entry:
        """Copy the entry's payload; returns the entry with the payload's checksum as key."""
        if entry.payload_key is None:
            return entry
        frame = self._stores.objects.get(entry.payload_key)
        payloads.decode(frame, f"log entry {entry.seq} of collection {state.id} (object {entry.payload_key})")
        return replace(entry, payload_key=self._put_content(state.name, frame))

    def _put_content(self, name: str, content: bytes) -> str:
        checksum = xxhash.xxh3_128_hexdigest(content)
        key = self._dump_store.key(checksum)
        if self._sizes.get(key) != len(content):
            self._dump_store.objects.put(key, content)
            self._record_written(key, len(content))
        self._wrote(name, len(content))
        return checksum

    def _record_written(self, key: str, size: int) -> None:
        self._sizes[key] = size
        self.new += 1
        self.size += size


def _read_state(stores: Stores, collection_id: UUID) -> tuple[Collection, list[Entry]] | None:
    """The state and the entries after its checkpoint, of one point in time; None if the collection was deleted."""
    for _ in range(_ATTEMPTS):
        item = collections.read_state(stores.table, collection_id)
        if item is None:
            return None
        flushed_seq = states.decode(item).flushed_seq
        log_slice = log.read_after(stores.table, collection_id, flushed_seq)
        state = None if log_slice.state is None else states.decode(log_slice.state)
        if state is None or state.is_dropped or any(entry.kind is EntryKind.SEAL for entry in log_slice.entries):
            return None
        if state.flushed_seq == flushed_seq:
            if log_slice.trimmed:
                raise Corrupt(f"the log of collection {collection_id} lacks entries after its checkpoint")
            return state, log_slice.entries
    raise Unavailable(f"collection {collection_id} is flushed too often to copy it")
