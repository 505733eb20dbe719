"""Rows on their way from a reader to the log: a piece of a file, as a batch and the rows that are not taken."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.bulk.types import Rejected
from afterglow.collection import Batch, Op
from afterglow.records.embeddings import finite_rows


@dataclass(slots=True)
class RowChunk:
    """Some rows in order: `batch` (None: no row was taken), `rejected`, and where the next piece `end`s up beginning.

    `lines` is how many lines (of Parquet: rows) of the range were looked at.
    """

    batch: Batch | None
    rejected: list[Rejected]
    end: int
    lines: int


@dataclass(slots=True)
class RowChunkBuilder:
    """Rows that come one by one, as a batch in the making. `dimension` is what each embedding must have."""

    dimension: int
    ids: list[str] = field(default_factory=list)
    vectors: list[bytes] = field(default_factory=list)
    documents: list[str | None] = field(default_factory=list)
    uris: list[str | None] = field(default_factory=list)
    metadatas: list[dict[str, Any] | None] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def add(self, line: int, identifier: str, vector: bytes, row: "Row") -> None:
        """Take a row."""
        self.ids.append(identifier)
        self.vectors.append(vector)
        self.documents.append(row.document)
        self.uris.append(row.uri)
        self.metadatas.append(row.metadata)
        self.lines.append(line)

    def reject(self, line: int, reason: str) -> None:
        """Do not take a row."""
        self.rejected.append(Rejected(line, reason))

    def build(self, end: int, lines: int) -> RowChunk:
        """What was gathered."""
        matrix = np.frombuffer(b"".join(self.vectors), dtype="<f4").reshape(len(self.ids), self.dimension)
        columns = AcceptedRows(self.ids, matrix, self.documents, self.uris, self.metadatas, self.lines)
        return drop_non_finite(columns, self.rejected, end, lines)


@dataclass(frozen=True, slots=True)
class Row:
    """What a row has beside its id and its embedding."""

    document: str | None
    uri: str | None
    metadata: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class AcceptedRows:
    """Rows by columns; `vectors` is float32 (n, d)."""

    ids: list[str]
    vectors: NDArray[np.float32]
    documents: list[str | None]
    uris: list[str | None]
    metadatas: list[dict[str, Any] | None]
    lines: list[int]


def drop_non_finite(rows: AcceptedRows, rejected: list[Rejected], end: int, lines: int) -> RowChunk:
    """The piece of these rows, without those whose embedding is not finite."""
    good = finite_rows(rows.vectors)
    bad = np.flatnonzero(~good).tolist()
    rejected.extend(Rejected(rows.lines[at], "the embedding holds NaN or infinity") for at in bad)
    if not good.all():
        rows = _take(rows, np.flatnonzero(good).tolist())
    rejected.sort(key=lambda each: each.line)
    batch = None
    if rows.ids:
        batch = Batch(
            Op.UPSERT,
            rows.ids,
            vectors=rows.vectors,
            documents=rows.documents if any(each is not None for each in rows.documents) else None,
            metadatas=rows.metadatas if any(each is not None for each in rows.metadatas) else None,
            uris=rows.uris if any(each is not None for each in rows.uris) else None,
        )
    return RowChunk(batch, rejected, end, lines)


def _take(rows: AcceptedRows, at: list[int]) -> AcceptedRows:
    return AcceptedRows(
        [rows.ids[each] for each in at],
        rows.vectors[at],
        [rows.documents[each] for each in at],
        [rows.uris[each] for each in at],
        [rows.metadatas[each] for each in at],
        [rows.lines[each] for each in at],
    )


def row_id(name: str, position: int) -> str:
    """The id of a row that has none: made of the file's name and of where in it the row is, the same each time."""
    return f"{name}#{position}"
