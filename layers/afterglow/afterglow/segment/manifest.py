"""The manifest: the segments of a checkpoint. Immutable; the collection's state refers to the current one.

Its key is ``<collection>/manifest/<number>-<flushed_seq>-<flushed_ops>-<log_time>-<nonce>-<xxh3-64 in hex>.json``, with
the hash of its bytes: a reference to a manifest thus fixes its content, and a reader detects any other content. The
keys alone show the log position of each manifest. Every manifest is a valid checkpoint of a log prefix, current or not:
it holds the log up to `flushed_seq`; also the base manifest of a fork, which belongs to another collection.

Invariants, checked by `validate` on read and on write:

* segment ids are unique, and each segment has at least one row;
* a segment's deleted rows are fewer than its rows, and it has a deletion vector exactly when there are any;
* every segment of a collection has the same dimension;
* ``trimmed_seq <= flushed_seq``, and the live rows of the segments are `records`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any
from uuid import UUID

import orjson
import xxhash

from afterglow.errors import Corrupt, UnsupportedFormat
from afterglow.segment.array_file import RESTORE_HINT, FileRef
from afterglow.storage.ports import ObjectInfo, Objects

FORMATS = (3,)
"""The formats that this release reads and writes, ascending."""
FORMAT = FORMATS[-1]
ROWS, STRINGS, VECTORS, POSTINGS, GRAPH, REDUCED_GRAPH, RECORDS, DELETED = (
    "rows",
    "strings",
    "vectors",
    "postings",
    "graph",
    "reduced_graph",
    "records",
    "deleted",
)
"""Roles of files; those of lists are in `segment.list_index` and `segment.contents`."""
_DIGITS = 12
_NAME = re.compile(r"\d+-\d+-\d+-\d+-[0-9A-Za-z]+-[0-9a-f]{16}\.json", re.ASCII)
_FILE_NAME = re.compile(
    r"[0-9A-Za-z]+/(rows|strings|vectors|postings|graph|reduced_graph|lists|centroids|binary_codes|covering|narrow|records|places|contents|deleted-[0-9A-Za-z]+)"
)


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """A segment: its files by role, and its deleted rows.

    The roles are `rows`, `strings`, `vectors`, if it has them `postings`, and with an index `graph` or `reduced_graph`,
    or `lists`, `centroids`, `binary_codes`, `records`, `places`, `contents` and, if a key is worth it, `covering` and
    `narrow`. A reader ignores roles that it does not know.
    """

    id: str
    rows: int
    dimension: int
    files: dict[str, FileRef]
    deleted_rows: int = 0
    deletions: FileRef | None = None
    purged_seq: int = 0
    """Rows that log entries up to this number have deleted are not in its files."""

    @property
    def live_rows(self) -> int:
        """Rows that are not deleted."""
        return self.rows - self.deleted_rows

    @property
    def graph_role(self) -> str | None:
        """The role of its HNSW graph, if it has one."""
        return next((role for role in (GRAPH, REDUCED_GRAPH) if role in self.files), None)

    @property
    def has_graph(self) -> bool:
        """Whether it has an HNSW graph."""
        return self.graph_role is not None

    @property
    def has_lists(self) -> bool:
        """Whether it is clustered."""
        return "lists" in self.files and "centroids" in self.files

    @property
    def is_indexed(self) -> bool:
        """Whether its vectors have an index of either kind."""
        return self.has_graph or self.has_lists

    @property
    def objects(self) -> list[FileRef]:
        """All its stored objects: its files, and its deletion vector if it has one."""
        return [*self.files.values(), *([] if self.deletions is None else [self.deletions])]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files.values())


def live_rows(segments: Iterable[SegmentInfo]) -> int:
    """The rows of all these segments that are not deleted."""
    return sum(segment.live_rows for segment in segments)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checkpoint: the log up to entry `flushed_seq`, which is `flushed_ops` operations, as segments.

    `log_time` is the time of the log there (`log.entry`). `next_row_seq` is the insertion sequence number of the next
    new record. Log entries up to `trimmed_seq` are placeholders.
    """

    collection: UUID
    number: int = 0
    flushed_seq: int = 0
    flushed_ops: int = 0
    log_time: int = 0
    trimmed_seq: int = 0
    next_row_seq: int = 0
    records: int = 0
    segments: tuple[SegmentInfo, ...] = field(default=())

    @property
    def dimension(self) -> int | None:
        """The dimension of its vectors, None without segments."""
        return self.segments[0].dimension if self.segments else None


def validate(manifest: Manifest, name: str) -> Manifest:
    """Return the manifest itself. Raises Corrupt, naming the first violated invariant."""
    segments = manifest.segments
    problem = None
    if len({segment.id for segment in segments}) != len(segments):
        problem = "lists a segment twice"
    elif any(segment.rows < 1 or not 0 <= segment.deleted_rows < segment.rows for segment in segments):
        problem = "has a segment without live rows"
    elif any((segment.deletions is not None) != (segment.deleted_rows > 0) for segment in segments):
        problem = "has a segment whose deletion vector does not match its deleted rows"
    elif len({segment.dimension for segment in segments}) > 1:
        problem = "mixes dimensions"
    elif not 0 <= manifest.trimmed_seq <= manifest.flushed_seq:
        problem = f"is trimmed to {manifest.trimmed_seq} but flushed to {manifest.flushed_seq}"
    elif live_rows(segments) != manifest.records:
        problem = f"claims {manifest.records} records"
    if problem:
        raise Corrupt(f"manifest {name} {problem}; {RESTORE_HINT}")
    return manifest


def prefix(collection_id: UUID) -> str:
    """The prefix of all manifests of a collection."""
    return f"{collection_id}/manifest/"


def segments_prefix(collection_id: UUID) -> str:
    """The prefix of all segments of a collection."""
    return f"{collection_id}/segments/"


def list_keys(objects: Objects, collection_id: UUID) -> Iterator[str]:
    """The keys of the collection's manifests, ascending; other objects with their prefix are skipped."""
    return (info.key for info in objects.list(prefix(collection_id)) if is_key(info.key, collection_id))


def list_segment_files(objects: Objects, collection_id: UUID) -> Iterator[ObjectInfo]:
    """The files of the collection's segments, ascending; other objects with their prefix are skipped."""
    return (info for info in objects.list(segments_prefix(collection_id)) if is_segment_file(info.key, collection_id))


def is_key(key: str, collection_id: UUID) -> bool:
    """Whether `key` is that of a manifest of the collection."""
    start = prefix(collection_id)
    return key.startswith(start) and _NAME.fullmatch(key.removeprefix(start)) is not None


def is_segment_file(key: str, collection_id: UUID) -> bool:
    """Whether `key` is that of a file of a segment of the collection."""
    start = segments_prefix(collection_id)
    return key.startswith(start) and _FILE_NAME.fullmatch(key.removeprefix(start)) is not None


def store(objects: Objects, manifest: Manifest, nonce: str, stored_format: int = FORMAT) -> str:
    """Write the manifest under a new key and return the key. Raises Corrupt where an invariant is violated."""
    position = f"{manifest.flushed_seq}-{manifest.flushed_ops}-{manifest.log_time}"
    name = f"{prefix(manifest.collection)}{manifest.number:0{_DIGITS}}-{position}-{nonce}"
    body = encode(manifest, name, stored_format)
    key = f"{name}{_checksum_suffix(body)}"
    objects.put(key, body)
    return key


@dataclass(frozen=True, slots=True)
class ManifestRef:
    """A parsed manifest key: the manifest's number and log position."""

    key: str
    number: int
    flushed_seq: int
    flushed_ops: int
    log_time: int


def parse_key(key: str) -> ManifestRef:
    """Parse the key of a manifest. Raises Corrupt."""
    try:
        number, flushed_seq, flushed_ops, log_time, _, _ = key.rpartition("/")[2].split("-")
        return ManifestRef(key, int(number), int(flushed_seq), int(flushed_ops), int(log_time))
    except ValueError as error:
        raise Corrupt(f"{key} is not the key of a manifest; {RESTORE_HINT}") from error


def load(objects: Objects, key: str) -> Manifest:
    """The manifest under `key`. Raises ObjectNotFound, Corrupt, UnsupportedFormat."""
    body = objects.get(key)
    if not key.endswith(_checksum_suffix(body)):
        raise Corrupt(f"manifest {key} is damaged: it does not match the checksum in its name; {RESTORE_HINT}")
    return decode(body, key)


def encode(manifest: Manifest, name: str, stored_format: int = FORMAT) -> bytes:
    """The manifest as JSON, in one of `FORMATS`. Raises Corrupt where an invariant is violated."""
    return orjson.dumps({"format": stored_format, **asdict(validate(manifest, name))}, option=orjson.OPT_INDENT_2)


def decode(body: bytes, key: str) -> Manifest:
    """The manifest of its JSON; errors refer to it as `key`. Raises Corrupt, UnsupportedFormat."""
    try:
        value = orjson.loads(body)
        stored_format = value.pop("format")
        if stored_format not in FORMATS:
            raise UnsupportedFormat(f"manifest {key}", stored_format, FORMAT)
        value["collection"] = UUID(value["collection"])
        value["segments"] = tuple(map(_segment, value["segments"]))
        return validate(Manifest(**_known(Manifest, value)), key)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"manifest {key} cannot be read: {error}; {RESTORE_HINT}") from error


def _checksum_suffix(body: bytes) -> str:
    """The end of the key of a manifest with these bytes."""
    return f"-{xxhash.xxh3_64_hexdigest(body)}.json"


def _segment(value: dict[str, Any]) -> SegmentInfo:
    files = {role: _file(file) for role, file in value["files"].items()}
    deletions = value["deletions"] and _file(value["deletions"])
    return SegmentInfo(**_known(SegmentInfo, value) | {"files": files, "deletions": deletions})


def _file(value: dict[str, Any]) -> FileRef:
    return FileRef(**_known(FileRef, value))


def _known(kind: type[Any], value: dict[str, Any]) -> dict[str, Any]:
    """The fields that this release knows: those that a newer one adds within the same format may be ignored."""
    names = {member.name for member in fields(kind)}
    return {name: content for name, content in value.items() if name in names}
