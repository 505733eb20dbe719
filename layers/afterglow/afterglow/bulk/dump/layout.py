"""Dumps of a database in a directory or below a prefix of a bucket: portable between the two, and between accounts.

::

    backup.json          the list of collections and objects, written last: a line of JSON, a line with its xxh3-128
    objects/<xxh3-128>   files of segments, payloads, the unflushed entries of each log; named by their content

A dump is exact: it has the segments with their graphs, and the log entries after them. Nothing is indexed again, and
records keep their insertion order. Each collection is dumped as of one point in time, which differs between
collections. A dump has no time travel (`?at=`), no ids of collections, and no API keys.

**Dump** (`create`):

1. For each collection: read its state with the unflushed entries, and copy the objects that they reference, except
   those already in the dump. If one is gone, the checkpoint was replaced: start again with this collection.
   *Crash: objects without a list; the next run uses them. An earlier dump is still complete.*
2. Write `backup.json` completely. *Crash after: the dump is complete.*
3. Delete objects that it does not list and that are older than a day. *Crash midway: the next run deletes them.*

**Restore** (`load`), one collection at a time:

1. Put a deletion record of the collection's new id, dated a day ahead: if the restore crashes, its objects are purged
   then (`jobs.purge`).
2. Copy the objects, verify their checksums, and write the manifest and the log entries.
3. In one transaction: write name and state, and remove the deletion record. *Crash after: the collection is restored.*

A restore that is run again restores the missing collections. It recognizes those of an earlier run by a mark, an item
of the table written in the same transaction.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import xxhash

from afterglow.errors import Corrupt, NotFound, UnsupportedFormat
from afterglow.segment import manifest as manifests
from afterglow.segment.array_file import FileRef
from afterglow.segment.manifest import Manifest
from afterglow.settings import System
from afterglow.storage.ports import ObjectNotFound, Objects

FORMAT = 2
_CHUNK_BYTES = 8 * 1024 * 1024
_CHECKSUM = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class DumpStore:
    """The location of a dump: `objects` below `prefix`, which is empty or ends in a slash; `name` is for messages."""

    objects: Objects
    prefix: str
    name: str

    @property
    def index_key(self) -> str:
        """The key of `backup.json`."""
        return f"{self.prefix}backup.json"

    @property
    def objects_prefix(self) -> str:
        """The prefix of all objects."""
        return f"{self.prefix}objects/"

    def key(self, checksum: str) -> str:
        """The key of the object with this content."""
        return f"{self.objects_prefix}{checksum}"

    def is_own_key(self, key: str) -> bool:
        """Whether `key` is that of an object of a dump; a file with another name is not ours, and stays."""
        return _CHECKSUM.fullmatch(key.removeprefix(self.objects_prefix)) is not None


@dataclass(frozen=True, slots=True)
class DumpedCollection:
    """A collection of a dump.

    `log` is the checksum of the object with its unflushed entries, None if there are none. Entries whose batch is an
    object have its checksum as key; `payloads` lists these checksums.
    """

    name: str
    schema: dict[str, Any]
    metadata: dict[str, Any] | None
    dimension: int | None
    manifest: Manifest | None
    log: str | None
    payloads: tuple[str, ...]

    @property
    def files(self) -> list[FileRef]:
        """The files of its segments, with their keys at the time of the dump."""
        return [] if self.manifest is None else [file for segment in self.manifest.segments for file in segment.objects]

    @property
    def size(self) -> int:
        """Bytes of its segments."""
        return sum(file.size for file in self.files)

    @property
    def checksums(self) -> set[str]:
        """The checksums of all its objects."""
        return {*(file.checksum for file in self.files), *self.payloads, *([] if self.log is None else [self.log])}


@dataclass(frozen=True, slots=True)
class Dump:
    """The content of `backup.json`: the database, the time of the dump (Unix seconds), and the collections."""

    tenant: str
    database: str
    at: float
    collections: tuple[DumpedCollection, ...]


def write(dump_store: DumpStore, dump: Dump) -> None:
    """Write `backup.json`."""
    value = {
        "format": FORMAT,
        "tenant": dump.tenant,
        "database": dump.database,
        "at": dump.at,
        "collections": [_encode(collection) for collection in dump.collections],
    }
    body = orjson.dumps(value)
    dump_store.objects.put(dump_store.index_key, b"%b\n%b\n" % (body, xxhash.xxh3_128_hexdigest(body).encode()))


def read(dump_store: DumpStore) -> Dump:
    """Read `backup.json`. Raises NotFound, Corrupt."""
    try:
        body, _, checksum = dump_store.objects.get(dump_store.index_key).rstrip(b"\n").rpartition(b"\n")
    except ObjectNotFound:
        raise NotFound(f"{dump_store.name}: no finished backup of a database: it has no backup.json") from None
    if xxhash.xxh3_128_hexdigest(body).encode() != checksum:
        raise Corrupt(f"{dump_store.name}: backup.json does not match its checksum")
    value = orjson.loads(body)
    if value["format"] != FORMAT:
        raise UnsupportedFormat(f"{dump_store.name}/backup.json", value["format"], FORMAT)
    collections = tuple(_decode(item, dump_store.name) for item in value["collections"])
    return Dump(value["tenant"], value["database"], value["at"], collections)


def copy_object(source: tuple[Objects, str], target: tuple[Objects, str], checksum: str, system: System) -> int:
    """Copy an object to a key of another store; returns its size in bytes. Raises ObjectNotFound, Corrupt."""
    (objects, key), (other, name) = source, target
    scratch = other.temporary_path(f"copy-{system.nonce()}")
    digest, position = xxhash.xxh3_128(), 0
    try:
        with scratch.open("xb") as file:
            while chunk := objects.get(key, position, _CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
                position += len(chunk)
        if digest.hexdigest() != checksum:
            raise Corrupt(f"object {key} does not match its checksum")
        other.upload(name, scratch)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return position


def _encode(collection: DumpedCollection) -> Mapping[str, Any]:
    manifest = None
    if collection.manifest is not None:
        manifest = orjson.loads(manifests.encode(collection.manifest, collection.name))
    return {
        "name": collection.name,
        "schema": collection.schema,
        "metadata": collection.metadata,
        "dimension": collection.dimension,
        "manifest": manifest,
        "log": collection.log,
        "payloads": collection.payloads,
    }


def _decode(value: dict[str, Any], name: str) -> DumpedCollection:
    manifest = value.pop("manifest")
    return DumpedCollection(
        manifest=None if manifest is None else manifests.decode(orjson.dumps(manifest), f"{name} of {value['name']}"),
        payloads=tuple(value.pop("payloads")),
        **value,
    )


def verify(content: bytes, checksum: str, key: str) -> bytes:
    """Returns the content. Raises Corrupt if it has another checksum."""
    if xxhash.xxh3_128_hexdigest(content) != checksum:
        raise Corrupt(f"object {key} does not match its checksum")
    return content
