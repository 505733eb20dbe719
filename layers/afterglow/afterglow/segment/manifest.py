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

from afterglow.errors import Corrupt
from afterglow.segment.array_file import ADVICE, FileInfo
from afterglow.storage.ports import Objects

FORMAT = 2
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """A segment: its files by role and its dead rows.

    The roles are `rows`, `texts`, `vectors`, and, where it has them, `postings` and `graph`.
    """

    id: str
    rows: int
    dimension: int
    files: dict[str, FileInfo]
    dead_rows: int = 0
    dead: FileInfo | None = None

    @property
    def live(self) -> int:
        """Rows that are not dead."""
        return self.rows - self.dead_rows

    @property
    def has_graph(self) -> bool:
        """Whether it is searched by an HNSW graph."""
        return "graph" in self.files

    @property
    def objects(self) -> list[FileInfo]:
        """All that is stored of it: its files, and its tombstones where it has any."""
        return [*self.files.values(), *([] if self.dead is None else [self.dead])]

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
    folded: int = 0
    folded_ops: int = 0
    clock: int = 0
    trimmed: int = 0
    next_ordinal: int = 0
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
    elif any(segment.rows < 1 or not 0 <= segment.dead_rows < segment.rows for segment in segments):
        problem = "has a segment without live rows"
    elif any((segment.dead is not None) != (segment.dead_rows > 0) for segment in segments):
        problem = "has a segment whose tombstones do not match its dead rows"
    elif len({segment.dimension for segment in segments}) > 1:
        problem = "mixes dimensions"
    elif not 0 <= manifest.trimmed <= manifest.folded:
        problem = f"is trimmed to {manifest.trimmed} but folded to {manifest.folded}"
    elif sum(segment.live for segment in segments) != manifest.records:
        problem = f"claims {manifest.records} records"
    if problem:
        raise Corrupt(f"manifest {name} {problem}; {ADVICE}")
    return manifest


def prefix(collection_id: UUID) -> str:
    """Under which all manifests of a collection are stored."""
    return f"{collection_id}/manifest/"


def segments_prefix(collection_id: UUID) -> str:
    """Under which all segments of a collection are stored."""
    return f"{collection_id}/segments/"


def store(objects: Objects, manifest: Manifest, nonce: str) -> str:
    """Write the manifest under a key of its own and return the key. Raises Corrupt where an invariant does not hold."""
    at = f"{manifest.folded}-{manifest.folded_ops}-{manifest.clock}"
    name = f"{prefix(manifest.collection)}{manifest.number:0{_DIGITS}}-{at}-{nonce}"
    body = encode(manifest, name)
    key = f"{name}{_ending(body)}"
    objects.put(key, body)
    return key


@dataclass(frozen=True, slots=True)
class Place:
    """What a manifest's key says: its number, and how far it holds the log."""

    key: str
    number: int
    folded: int
    folded_ops: int
    clock: int


def place(key: str) -> Place:
    """Where the manifest of this key stands. Raises Corrupt."""
    try:
        number, folded, folded_ops, clock, _, _ = key.rpartition("/")[2].split("-")
        return Place(key, int(number), int(folded), int(folded_ops), int(clock))
    except ValueError as error:
        raise Corrupt(f"{key} is not the key of a manifest; {ADVICE}") from error


def load(objects: Objects, key: str) -> Manifest:
    """The manifest under `key`. Raises ObjectMissing, Corrupt."""
    body = objects.get(key)
    if not key.endswith(_ending(body)):
        raise Corrupt(f"manifest {key} is damaged: it does not match the checksum in its name; {ADVICE}")
    return decode(body, key)


def encode(manifest: Manifest, name: str) -> bytes:
    """The manifest as JSON. Raises Corrupt where an invariant does not hold."""
    return orjson.dumps({"format": FORMAT, **asdict(validate(manifest, name))}, option=orjson.OPT_INDENT_2)


def decode(body: bytes, key: str) -> Manifest:
    """The manifest of its JSON; `key` is what a Corrupt error calls it."""
    try:
        value = orjson.loads(body)
        if value.pop("format") != FORMAT:
            raise Corrupt(f"manifest {key} is not of a known version")
        value["collection"] = UUID(value["collection"])
        value["segments"] = tuple(_segment(each) for each in value["segments"])
        return validate(Manifest(**value), key)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"manifest {key} cannot be read: {error}; {ADVICE}") from error


def _ending(body: bytes) -> str:
    """How the key of a manifest with these bytes ends."""
    return f"-{xxhash.xxh3_64_hexdigest(body)}.json"


def _segment(value: dict[str, object]) -> SegmentInfo:
    files = {role: FileInfo(**file) for role, file in value.pop("files").items()}  # type: ignore[attr-defined]
    dead = value.pop("dead")
    return SegmentInfo(**value, files=files, dead=dead and FileInfo(**dead))  # type: ignore[arg-type]
