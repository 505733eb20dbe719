"""Values shared by the modules of an import: target, columns, plan, report."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from afterglow.errors import AfterglowError, Corrupt, UnsupportedFormat

FORMAT = 2


class ImportRejected(AfterglowError):
    """The file cannot be imported, or not completely; the message is the report's reason."""


class RangeConflict(AfterglowError):
    """Another worker advanced the range: read its progress and continue from there."""


class FileFormat(StrEnum):
    """The format of a file."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class Compression(StrEnum):
    """The compression of a whole text file."""

    NONE = ""
    GZIP = "gzip"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True)
class Target:
    """The collection of an import, by name; created if it does not exist."""

    tenant: str
    database: str
    collection: str


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """The columns by role; None: the file has no such column. `record` is the column of metadata objects, or None.

    Without it, metadata is made of the columns in `others`; None means every other key of JSON Lines.
    `types` has the type of a CSV's columns (`int`, `float`, `bool`, `json`, `str`).
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
    """A range of a file: bytes of text (`end` -1: to the end), or rows of Parquet; `line` is its first line, from 1."""

    start: int
    end: int
    line: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the work on a range needs. `key` locates the file, `name` is for reports."""

    id: str
    key: str
    name: str
    size: int
    version: str
    vectors: str | None
    """The key of the `.npy` file with the embeddings."""
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
    """The plan in an object. Raises Corrupt, UnsupportedFormat."""
    try:
        fields: dict[str, Any] = orjson.loads(value)
        written_format = fields.pop("format")
        if written_format != FORMAT:
            raise UnsupportedFormat(name, written_format, FORMAT)
        columns = fields.pop("columns")
        others = columns.pop("others")
        return Plan(
            target=Target(**fields.pop("target")),
            kind=FileFormat(fields.pop("kind")),
            compression=Compression(fields.pop("compression")),
            columns=ColumnMapping(others=None if others is None else tuple(others), **columns),
            header=tuple(fields.pop("header")),
            ranges=tuple(FileRange(**item) for item in fields.pop("ranges")),
            **fields,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{name} cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class Rejected:
    """A rejected row: its line (of Parquet: its row), from 1, and the reason."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The result or the progress of an import: `state` is running, done or failed; a failed one has a `reason`."""

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
