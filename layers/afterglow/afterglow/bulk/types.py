"""Between the parts of an import: where it goes, what the columns are, how the file is split, how it ends."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from afterglow.errors import AfterglowError, Corrupt, UnsupportedFormat

FORMAT = 2


class ImportRejected(AfterglowError):
    """The file cannot be imported, or not any further; the message is the receipt's reason."""


class RangeConflict(AfterglowError):
    """Another invocation moved the range on: read how far it is, and go on from there."""


class FileFormat(StrEnum):
    """What a file is."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class Compression(StrEnum):
    """How a file of text is compressed as a whole."""

    NONE = ""
    GZIP = "gzip"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True)
class Target:
    """The collection that a file goes to, by name; it is made where there is none."""

    tenant: str
    database: str
    collection: str


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which column is what; None: the file has none. `record` is the column whose object is the metadata, or None.

    Without such a column, metadata is made of the `others`, where there are any: for JSON Lines None means every key.
    `types` says what the text of a CSV's column is (`int`, `float`, `bool`, `str`).
    """

    id: str | None = None
    embedding: str | None = None
    document: str | None = None
    uri: str | None = None
    record: str | None = None
    others: tuple[str, ...] | None = None
    types: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileRange:
    """A part of a file: bytes of text (`end` -1: to the end), or rows of Parquet; `line` is its first, from 1."""

    start: int
    end: int
    line: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All that whoever works on a range must know. `key` is where the file is, `name` what it is called."""

    id: str
    key: str
    name: str
    size: int
    version: str
    vectors: str | None
    """The key of the `.npy` file that has the embeddings."""
    target: Target
    collection_id: str
    dimension: int
    kind: FileFormat
    compression: Compression
    columns: ColumnMapping
    delimiter: str
    header: tuple[str, ...]
    """The columns of a CSV, in order."""
    batch_rows: int
    ranges: tuple[FileRange, ...]
    started_at: float

    def encode(self) -> bytes:
        """As JSON."""
        return orjson.dumps({"format": FORMAT, **asdict(self)})


def decode_plan(value: bytes, name: str) -> Plan:
    """The plan of an object. Raises Corrupt."""
    try:
        found: dict[str, Any] = orjson.loads(value)
        written_format = found.pop("format")
        if written_format != FORMAT:
            raise UnsupportedFormat(name, written_format, FORMAT)
        columns = found.pop("columns")
        others = columns.pop("others")
        return Plan(
            target=Target(**found.pop("target")),
            kind=FileFormat(found.pop("kind")),
            compression=Compression(found.pop("compression")),
            columns=ColumnMapping(others=None if others is None else tuple(others), **columns),
            header=tuple(found.pop("header")),
            ranges=tuple(FileRange(**each) for each in found.pop("ranges")),
            **found,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{name} cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was not taken: its line (of Parquet its row), from 1, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How an import ended, or stands: `state` is running, done or failed, with the `reason` for the last."""

    id: str
    state: str
    file: str
    size: int
    tenant: str
    database: str
    collection: str
    collection_id: str | None = None
    rows: int = 0
    rejected: int = 0
    ranges: int = 0
    ranges_done: int = 0
    started_at: float = 0.0
    finished_at: float | None = None
    reason: str | None = None

    def encode(self) -> bytes:
        """As JSON."""
        return orjson.dumps(asdict(self))
