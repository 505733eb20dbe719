"""Values shared by the modules of an import: target, columns, plan, report."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import orjson
import xxhash

from afterglow.errors import AfterglowError, Corrupt, UnsupportedFormat

FORMAT = 4
_WITHOUT_CHECKSUM = 3
_OTHERS_LEFT_OUT = 2
"""In this format a column of metadata objects excluded all other columns, and there was no checksum either."""


class ImportRejected(AfterglowError):
    """The file cannot be imported, or not completely; the message is the report's reason."""


class RangeConflict(AfterglowError):
    """Another worker advanced the range: read its progress and continue from there."""


class FileFormat(StrEnum):
    """The format of a file."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"
    NPY = "npy"
    XLSX = "xlsx"
    ROWS = "rows"
    """Of another database."""


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
    """The columns by role; None: the file has no such column.

    Metadata is made of the columns in `others` (None: every other key of JSON), and of the objects in the column
    `record`; with `is_record_required`, a value there that is no object is an error, else it is a value like those of
    `others`. `embedding_columns`: one column for each component of the embedding, instead of `embedding`. `ignored` are
    columns that are left out, with the reason. With `flatten` nested objects become several keys; without, they are
    left out. `types` has the type of a CSV's columns (`int`, `float`, `bool`, `json`, `str`).
    """

    id: str | None = None
    embedding: str | None = None
    embedding_columns: tuple[str, ...] = ()
    document: str | None = None
    uri: str | None = None
    record: str | None = None
    is_record_required: bool = False
    others: tuple[str, ...] | None = None
    flatten: bool = False
    ignored: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)

    @property
    def sources(self) -> dict[str, str]:
        """The column of each role that the file has, for a report."""
        roles = {
            "id": self.id,
            "embedding": _span(self.embedding_columns) or self.embedding,
            "document": self.document,
            "uri": self.uri,
            "metadata": _join([*([] if self.record is None else [self.record]), *(self.others or ())], self.others),
        }
        return {role: column for role, column in roles.items() if column is not None}


def _span(columns: tuple[str, ...]) -> str | None:
    return f"{columns[0]} … {columns[-1]}" if columns else None


def _join(columns: list[str], others: tuple[str, ...] | None) -> str | None:
    names = list(dict.fromkeys(columns)) + (["every other key"] if others is None else [])
    return ", ".join(names) or None


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
    encoding: str
    """Of a text file; empty: UTF-8, or UTF-16 with a byte order mark."""
    batch_rows: int
    ranges: tuple[FileRange, ...]
    started_at: float
    sheet: str = ""
    """Of a workbook; empty: the first one with rows."""

    def encode(self) -> bytes:
        """As JSON, with the checksum of its other fields."""
        fields = {"format": FORMAT, **asdict(self)}
        if not self.sheet:
            del fields["sheet"]  # which earlier versions do not know
        return orjson.dumps({**fields, "checksum": _checksum(fields)})


def decode_plan(value: bytes, name: str) -> Plan:
    """The plan in an object. Raises Corrupt, UnsupportedFormat."""
    try:
        fields: dict[str, Any] = orjson.loads(value)
        written_format = fields["format"]
        if written_format not in (_OTHERS_LEFT_OUT, _WITHOUT_CHECKSUM, FORMAT):
            raise UnsupportedFormat(name, written_format, FORMAT)
        if written_format == FORMAT and fields.pop("checksum") != _checksum(fields):
            raise Corrupt(f"{name} does not match its checksum; `afterglow import --force` starts the import again")
        del fields["format"]
        columns = fields.pop("columns")
        if written_format == _OTHERS_LEFT_OUT:
            fields["encoding"] = ""
            columns |= {"embedding_columns": (), "is_record_required": columns["record"] is not None}
            columns["others"] = columns["others"] if columns["record"] is None else []
        others = columns.pop("others")
        columns["embedding_columns"] = tuple(columns["embedding_columns"])
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


def _checksum(fields: dict[str, Any]) -> str:
    """Of the fields as JSON, in their order: xxh3, 128 bits, in hex."""
    return xxhash.xxh3_128_hexdigest(orjson.dumps(fields))


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
    columns: dict[str, str] = field(default_factory=dict)
    """The column of each role."""
    ignored: dict[str, str] = field(default_factory=dict)
    """Columns that were left out, with the reason."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Metadata keys of which nested values were left out, and other values (`row_values.CELLS`), counted."""

    def encode(self) -> bytes:
        """As JSON."""
        return orjson.dumps(asdict(self))
