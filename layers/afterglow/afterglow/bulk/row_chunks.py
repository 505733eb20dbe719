"""Chunks of rows between a reader and the log: a batch of the accepted rows, and the rejected ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afterglow.bulk.row_values import NO_TEXT, RowError
from afterglow.bulk.types import Rejected
from afterglow.collection import Batch, Op
from afterglow.records.embeddings import finite_rows


@dataclass(slots=True)
class RowChunk:
    """Consecutive rows: `batch` (None: no row was accepted), `rejected`, and `end`, the position of the next chunk.

    `lines` counts the lines (of Parquet: rows) of the range that were read so far. `left_out` counts by metadata key
    the nested values that were left out.
    """

    batch: Batch | None
    rejected: list[Rejected]
    end: int
    lines: int
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class RowChunkBuilder:
    """Builds a chunk row by row. `dimension` is that of every embedding."""

    dimension: int
    ids: list[str] = field(default_factory=list)
    vectors: list[bytes] = field(default_factory=list)
    documents: list[str | None] = field(default_factory=list)
    uris: list[str | None] = field(default_factory=list)
    metadatas: list[dict[str, Any] | None] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def add(self, line: int, identifier: str, vector: bytes, row: "Row") -> None:
        """Add an accepted row. Raises RowError if it has nothing to embed."""
        if not self.dimension and row.document is None:
            raise RowError(NO_TEXT)
        self.ids.append(identifier)
        self.vectors.append(vector)
        self.documents.append(row.document)
        self.uris.append(row.uri)
        self.metadatas.append(row.metadata)
        self.lines.append(line)

    def reject(self, line: int, reason: str) -> None:
        """Add a rejected row."""
        self.rejected.append(Rejected(line, reason))

    def build(self, end: int, lines: int) -> RowChunk:
        """The chunk of the rows added so far."""
        matrix = np.frombuffer(b"".join(self.vectors), dtype="<f4").reshape(len(self.ids), self.dimension)
        columns = AcceptedRows(self.ids, matrix, self.documents, self.uris, self.metadatas, self.lines)
        chunk = drop_non_finite(columns, self.rejected, end, lines)
        chunk.left_out = self.left_out
        return chunk


class Row(NamedTuple):
    """The values of a row other than its id and embedding."""

    document: str | None
    uri: str | None
    metadata: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class AcceptedRows:
    """Accepted rows, column by column; `vectors` is float32 (n, d)."""

    ids: list[str]
    vectors: NDArray[np.float32]
    documents: list[str | None]
    uris: list[str | None]
    metadatas: list[dict[str, Any] | None]
    lines: list[int]


def drop_non_finite(rows: AcceptedRows, rejected: list[Rejected], end: int, lines: int) -> RowChunk:
    """The chunk of these rows; rows with an embedding that is not finite are rejected."""
    is_finite = finite_rows(rows.vectors)
    reason = "the embedding holds NaN or infinity"
    rejected.extend(Rejected(rows.lines[row], reason) for row in np.flatnonzero(~is_finite).tolist())
    if not is_finite.all():
        rows = _take(rows, np.flatnonzero(is_finite).tolist())
    rejected.sort(key=lambda rejection: rejection.line)
    batch = None
    if rows.ids:
        batch = Batch(
            Op.UPSERT,
            rows.ids,
            vectors=rows.vectors if rows.vectors.shape[1] else None,
            documents=rows.documents if _any(rows.documents) else None,
            metadatas=rows.metadatas if _any(rows.metadatas) else None,
            uris=rows.uris if _any(rows.uris) else None,
        )
    return RowChunk(batch, rejected, end, lines)


def _any(column: Sequence[object]) -> bool:
    return any(value is not None for value in column)


def _take(rows: AcceptedRows, indices: list[int]) -> AcceptedRows:
    return AcceptedRows(
        [rows.ids[row] for row in indices],
        rows.vectors[indices],
        [rows.documents[row] for row in indices],
        [rows.uris[row] for row in indices],
        [rows.metadatas[row] for row in indices],
        [rows.lines[row] for row in indices],
    )


def row_id(name: str, position: int) -> str:
    """The generated id of a row without one: from the file's name and the row's position in it, so always the same."""
    return f"{name}#{position}"
