"""Saving a database (protocol: `bulk.dump.layout`)."""

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
from afterglow.log import batch as frames
from afterglow.log import read as log
from afterglow.log.entry import Entry, EntryKind
from afterglow.segment import manifest as manifests
from afterglow.segment.array_file import FileRef
from afterglow.storage.ports import ObjectNotFound, Stores

_ATTEMPTS = 20
_SIDE_BY_SIDE = 4
_LEFTOVER_SECONDS = 24 * 3600.0

OnCopied = Callable[[str, int], None]
"""Is told of a collection's name and of bytes that are in the copy now."""


@dataclass(slots=True)
class DumpReport:
    """What a copy holds, and what of it was not there before."""

    collections: int = 0
    objects: int = 0
    new: int = 0
    size: int = 0
    removed: int = 0


def create_dump(
    stores: Stores, database: Database, vault: DumpStore, wrote: OnCopied = lambda _name, _size: None
) -> DumpReport:
    """Copy the database as it is. Raises AlreadyExists where there is a copy of another, Corrupt, Unavailable."""
    _refuse_other(vault, database)
    begun = stores.system.now()
    copy = _DumpWriter(stores, vault, wrote)
    found = [copy.collection(each) for each in _collections(stores, database)]
    saved = Dump(database.tenant, database.name, begun, tuple(each for each in found if each is not None))
    layout.write(vault, saved)
    needed = {vault.key(checksum) for each in saved.collections for checksum in each.checksums}
    left = [
        info.key
        for info in vault.objects.list(vault.objects_prefix)
        if info.key not in needed and info.modified < begun - _LEFTOVER_SECONDS
    ]
    vault.objects.delete_many(left)
    return DumpReport(len(saved.collections), len(needed), copy.new, copy.size, len(left))


def _refuse_other(vault: DumpStore, database: Database) -> None:
    try:
        present = layout.read(vault)
    except NotFound:
        return
    if (present.tenant, present.database) != (database.tenant, database.name):
        raise AlreadyExists(
            f"{vault.name} holds a backup of database {present.database!r} of tenant {present.tenant!r}: take another "
            f"place for that of {database.name!r}"
        )


def _collections(stores: Stores, database: Database) -> Sequence[UUID]:
    if Catalog(stores.table, stores.system).find_database(database.tenant, database.name) is None:
        raise NotFound(f"Database [{database.name}] not found. Are you sure it exists?")
    return [identifier for _, identifier in collections.list_names(stores.table, database.namespace_id)]


class _DumpWriter:
    """A copy in the making."""

    def __init__(self, stores: Stores, vault: DumpStore, wrote: OnCopied) -> None:
        self.new = self.size = 0
        self._stores = stores
        self._vault = vault
        self._wrote = wrote
        self._there = {info.key: info.size for info in vault.objects.list(vault.objects_prefix)}

    def collection(self, identifier: UUID) -> DumpedCollection | None:
        """Copy a collection; None where it has been dropped."""
        for _ in range(_ATTEMPTS):
            moment = _moment(self._stores, identifier)
            if moment is None:
                return None
            try:
                return self._saved(*moment)
            except ObjectNotFound:
                continue  # the checkpoint was replaced and collected, or the entries were folded
        raise Unavailable(f"collection {identifier} is being folded too fast to copy it")

    def _saved(self, state: Collection, entries: Sequence[Entry]) -> DumpedCollection:
        manifest = None if state.manifest_key is None else manifests.load(self._stores.objects, state.manifest_key)
        files = [] if manifest is None else [file for each in manifest.segments for file in each.objects]
        with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="afterglow-save") as workers:
            for size in workers.map(self._file, files):
                self._wrote(state.name, size)
        kept = [self._entry(state, each) for each in entries]
        return DumpedCollection(
            name=state.name,
            schema=state.schema,
            metadata=state.metadata,
            dimension=state.dimension,
            manifest=manifest,
            log=self._content(state.name, archive.encode(kept)) if kept else None,
            payloads=tuple(each.payload_key for each in kept if each.payload_key is not None),
        )

    def _file(self, file: FileRef) -> int:
        key = self._vault.key(file.checksum)
        if self._there.get(key) != file.size:
            target = (self._vault.objects, key)
            size = layout.copy_object((self._stores.objects, file.key), target, file.checksum, self._stores.system)
            self._noted(key, size)
        return file.size

    def _entry(self, state: Collection, entry: Entry) -> Entry:
        """The entry, naming its batch by its content."""
        if entry.payload_key is None:
            return entry
        frame = self._stores.objects.get(entry.payload_key)
        frames.decode(frame, f"log entry {entry.seq} of collection {state.id} (object {entry.payload_key})")
        return replace(entry, payload_key=self._content(state.name, frame))

    def _content(self, name: str, content: bytes) -> str:
        checksum = xxhash.xxh3_128_hexdigest(content)
        key = self._vault.key(checksum)
        if self._there.get(key) != len(content):
            self._vault.objects.put(key, content)
            self._noted(key, len(content))
        self._wrote(name, len(content))
        return checksum

    def _noted(self, key: str, size: int) -> None:
        self._there[key] = size
        self.new += 1
        self.size += size


def _moment(stores: Stores, identifier: UUID) -> tuple[Collection, list[Entry]] | None:
    """The state and the entries after its checkpoint, as they are together; None for a dropped collection."""
    for _ in range(_ATTEMPTS):
        item = collections.read_state(stores.table, identifier)
        if item is None:
            return None
        folded = states.decode(item).flushed_seq
        news = log.read_after(stores.table, identifier, folded)
        newest = None if news.state is None else states.decode(news.state)
        if newest is None or newest.is_dropped or any(each.kind is EntryKind.SEAL for each in news.entries):
            return None
        if newest.flushed_seq == folded:
            if news.trimmed:
                raise Corrupt(f"the log of collection {identifier} does not go on after its checkpoint")
            return newest, news.entries
    raise Unavailable(f"collection {identifier} is being folded too fast to copy it")
