"""Copies of a database in a directory or below a prefix of a bucket: portable between the two, and between accounts.

::

    backup.json          what the copy holds, written last: a line of JSON, a line with its xxh3-128
    objects/<xxh3-128>   segments' files, batches, what of each log is not folded; named by their content

A copy is exact: the segments as they are, with their graphs, and the entries of the log that follow; so nothing is
indexed anew, and records keep their order. Each collection is as it was at one moment, each at its own. Not in it are
the past (`?at=`), ids of collections, and API keys.

**Saving** (`saving`):

1. For each collection: read its state with the entries that are not folded, and copy what they name, objects that are
   there already left out. Where one has gone, the checkpoint was replaced: begin with this collection again.
   *Crash: objects without a list of them; the next run takes them as they are. Of a copy made before, all is there.*
2. Write `backup.json`, whole. *Crash after: the copy is done.*
3. Remove objects that it does not name and that are older than a day. *Crash midway: the next run removes them.*

**Restoring** (`restoring`), a collection at a time:

1. Note the collection that is to be, which has a new id, among what is dropped, a day ahead: what a crash leaves is
   cleaned away then (`jobs.purge`).
2. Copy its objects, comparing checksums, and write its manifest and the entries of its log.
3. In one transaction: its name, its state, the note removed. *Crash after: it is there, as it was.*

A restore that is run again makes what is missing: what it has made before it knows by a mark, an item of the table that
is written in the same transaction.
"""

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
_PIECE = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DumpStore:
    """Where a copy is: `objects`, below `prefix`, which is empty or ends in a slash; `name` is what messages say."""

    objects: Objects
    prefix: str
    name: str

    @property
    def index_key(self) -> str:
        """The key of `backup.json`."""
        return f"{self.prefix}backup.json"

    @property
    def objects_prefix(self) -> str:
        """Under which all objects are."""
        return f"{self.prefix}objects/"

    def key(self, checksum: str) -> str:
        """The key of the object with this content."""
        return f"{self.objects_prefix}{checksum}"


@dataclass(frozen=True, slots=True)
class DumpedCollection:
    """A collection in a copy.

    `log` is the object with its entries (None: all was folded); those of them that have their batch in an object name
    that, one of `payloads`, by its checksum.
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
        """The files of its segments, as its manifest names them."""
        return [] if self.manifest is None else [file for each in self.manifest.segments for file in each.objects]

    @property
    def size(self) -> int:
        """Bytes of its segments."""
        return sum(file.size for file in self.files)

    @property
    def checksums(self) -> set[str]:
        """All objects of the copy that it needs."""
        return {*(file.checksum for file in self.files), *self.payloads, *([] if self.log is None else [self.log])}


@dataclass(frozen=True, slots=True)
class Dump:
    """A copy: which database, when (Unix seconds), and its collections."""

    tenant: str
    database: str
    at: float
    collections: tuple[DumpedCollection, ...]


def write(vault: DumpStore, saved: Dump) -> None:
    """Write `backup.json`."""
    value = {
        "format": FORMAT,
        "tenant": saved.tenant,
        "database": saved.database,
        "at": saved.at,
        "collections": [_encoded(each) for each in saved.collections],
    }
    body = orjson.dumps(value)
    vault.objects.put(vault.index_key, b"%b\n%b\n" % (body, xxhash.xxh3_128_hexdigest(body).encode()))


def read(vault: DumpStore) -> Dump:
    """Read `backup.json`. Raises NotFound, Corrupt."""
    try:
        body, _, checksum = vault.objects.get(vault.index_key).rstrip(b"\n").rpartition(b"\n")
    except ObjectNotFound:
        raise NotFound(f"{vault.name}: no finished backup of a database, there is no backup.json in it") from None
    if xxhash.xxh3_128_hexdigest(body).encode() != checksum:
        raise Corrupt(f"{vault.name}: backup.json does not match its checksum")
    value = orjson.loads(body)
    if value["format"] != FORMAT:
        raise UnsupportedFormat(f"{vault.name}/backup.json", value["format"], FORMAT)
    collections = tuple(_decoded(each, vault.name) for each in value["collections"])
    return Dump(value["tenant"], value["database"], value["at"], collections)


def copy_object(source: tuple[Objects, str], target: tuple[Objects, str], checksum: str, system: System) -> int:
    """Copy the object under a key of one store to a key of another; its bytes. Raises ObjectMissing, Corrupt."""
    (objects, key), (other, name) = source, target
    scratch = other.temporary_path(f"copy-{system.nonce()}")
    digest, position = xxhash.xxh3_128(), 0
    try:
        with scratch.open("xb") as file:
            while piece := objects.get(key, position, _PIECE):
                digest.update(piece)
                file.write(piece)
                position += len(piece)
        if digest.hexdigest() != checksum:
            raise Corrupt(f"object {key} does not match its checksum")
        other.upload(name, scratch)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return position


def _encoded(each: DumpedCollection) -> Mapping[str, Any]:
    manifest = None if each.manifest is None else orjson.loads(manifests.encode(each.manifest, each.name))
    return {
        "name": each.name,
        "schema": each.schema,
        "metadata": each.metadata,
        "dimension": each.dimension,
        "manifest": manifest,
        "log": each.log,
        "payloads": each.payloads,
    }


def _decoded(value: dict[str, Any], name: str) -> DumpedCollection:
    manifest = value.pop("manifest")
    return DumpedCollection(
        manifest=None if manifest is None else manifests.decode(orjson.dumps(manifest), f"{name} of {value['name']}"),
        payloads=tuple(value.pop("payloads")),
        **value,
    )


def verify(content: bytes, checksum: str, key: str) -> bytes:
    """The content itself. Raises Corrupt where it has another checksum."""
    if xxhash.xxh3_128_hexdigest(content) != checksum:
        raise Corrupt(f"object {key} does not match its checksum")
    return content
