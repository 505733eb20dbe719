"""The manifest: which segments make up a checkpoint. Immutable; the collection's state names the one in force.

Its key is ``<collection>/manifest/<number>-<folded>-<folded_ops>-<clock>-<nonce>-<xxh3-64 of its bytes in hex>.json``:
whoever names a manifest says with that what must be in it, and a reader that finds anything else says so. A listing of
the keys alone tells where in the log each stands. Every manifest is true, in force or not: it holds the log up to
`folded`; also that of a fork's origin, which names another collection.

Invariants, checked by `validate` on read and on write:

* segment ids are unique, and each segment has at least one row;
* a segment's dead rows are fewer than its rows, and named by a tombstone file exactly when there are any;
* every segment of a collection has the same dimension;
* ``trimmed <= folded``, and the live rows of the segments are `records`.
"""

from dataclasses import asdict, dataclass, field
from uuid import UUID

import orjson
import xxhash

from afterglow.errors import Corrupt, UnsupportedFormat
from afterglow.segment.array_file import RESTORE_HINT, FileRef
from afterglow.storage.ports import Objects

FORMAT = 3
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """A segment: its files by role and its dead rows.

    The roles are `rows`, `texts`, `vectors`, and, where it has them, `postings` and `graph`.
    """

    id: str
    rows: int
    dimension: int
    files: dict[str, FileRef]
    deleted_rows: int = 0
    deletions: FileRef | None = None

    @property
    def live_rows(self) -> int:
        """Rows that are not dead."""
        return self.rows - self.deleted_rows

    @property
    def has_graph(self) -> bool:
        """Whether it is searched by an HNSW graph."""
        return "graph" in self.files

    @property
    def objects(self) -> list[FileRef]:
        """All that is stored of it: its files, and its tombstones where it has any."""
        return [*self.files.values(), *([] if self.deletions is None else [self.deletions])]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files.values())


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checkpoint: the log up to entry `folded`, which is `folded_ops` operations, as segments.

    `clock` is the time of the log there (`log.entry`). `next_ordinal` is the insertion ordinal of the next new record.
    Log entries up to `trimmed` are stubs.
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
    """The manifest itself. Raises Corrupt naming the first invariant that does not hold."""
    segments = manifest.segments
    problem = None
    if len({segment.id for segment in segments}) != len(segments):
        problem = "names a segment twice"
    elif any(segment.rows < 1 or not 0 <= segment.deleted_rows < segment.rows for segment in segments):
        problem = "has a segment without live rows"
    elif any((segment.deletions is not None) != (segment.deleted_rows > 0) for segment in segments):
        problem = "has a segment whose tombstones do not match its dead rows"
    elif len({segment.dimension for segment in segments}) > 1:
        problem = "mixes dimensions"
    elif not 0 <= manifest.trimmed_seq <= manifest.flushed_seq:
        problem = f"is trimmed to {manifest.trimmed_seq} but folded to {manifest.flushed_seq}"
    elif sum(segment.live_rows for segment in segments) != manifest.records:
        problem = f"claims {manifest.records} records"
    if problem:
        raise Corrupt(f"manifest {name} {problem}; {RESTORE_HINT}")
    return manifest


def prefix(collection_id: UUID) -> str:
    """Under which all manifests of a collection are stored."""
    return f"{collection_id}/manifest/"


def segments_prefix(collection_id: UUID) -> str:
    """Under which all segments of a collection are stored."""
    return f"{collection_id}/segments/"


def store(objects: Objects, manifest: Manifest, nonce: str) -> str:
    """Write the manifest under a key of its own and return the key. Raises Corrupt where an invariant does not hold."""
    at = f"{manifest.flushed_seq}-{manifest.flushed_ops}-{manifest.log_time}"
    name = f"{prefix(manifest.collection)}{manifest.number:0{_DIGITS}}-{at}-{nonce}"
    body = encode(manifest, name)
    key = f"{name}{_checksum_suffix(body)}"
    objects.put(key, body)
    return key


@dataclass(frozen=True, slots=True)
class ManifestRef:
    """What a manifest's key says: its number, and how far it holds the log."""

    key: str
    number: int
    flushed_seq: int
    flushed_ops: int
    log_time: int


def parse_key(key: str) -> ManifestRef:
    """Where the manifest of this key stands. Raises Corrupt."""
    try:
        number, folded, folded_ops, clock, _, _ = key.rpartition("/")[2].split("-")
        return ManifestRef(key, int(number), int(folded), int(folded_ops), int(clock))
    except ValueError as error:
        raise Corrupt(f"{key} is not the key of a manifest; {RESTORE_HINT}") from error


def load(objects: Objects, key: str) -> Manifest:
    """The manifest under `key`. Raises ObjectMissing, Corrupt."""
    body = objects.get(key)
    if not key.endswith(_checksum_suffix(body)):
        raise Corrupt(f"manifest {key} is damaged: it does not match the checksum in its name; {RESTORE_HINT}")
    return decode(body, key)


def encode(manifest: Manifest, name: str) -> bytes:
    """The manifest as JSON. Raises Corrupt where an invariant does not hold."""
    return orjson.dumps({"format": FORMAT, **asdict(validate(manifest, name))}, option=orjson.OPT_INDENT_2)


def decode(body: bytes, key: str) -> Manifest:
    """The manifest of its JSON; `key` is what a Corrupt error calls it."""
    try:
        value = orjson.loads(body)
        found = value.pop("format")
        if found != FORMAT:
            raise UnsupportedFormat(f"manifest {key}", found, FORMAT)
        value["collection"] = UUID(value["collection"])
        value["segments"] = tuple(_segment(each) for each in value["segments"])
        return validate(Manifest(**value), key)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"manifest {key} cannot be read: {error}; {RESTORE_HINT}") from error


def _checksum_suffix(body: bytes) -> str:
    """How the key of a manifest with these bytes ends."""
    return f"-{xxhash.xxh3_64_hexdigest(body)}.json"


def _segment(value: dict[str, object]) -> SegmentInfo:
    files = {role: FileRef(**file) for role, file in value.pop("files").items()}  # type: ignore[attr-defined]
    dead = value.pop("deletions")
    return SegmentInfo(**value, files=files, deletions=dead and FileRef(**dead))  # type: ignore[arg-type]
