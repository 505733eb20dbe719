"""A collection of another database as the source of an import."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sources import Source, Span
from afterglow.bulk.types import ImportRejected

Page = Sequence[Mapping[str, Any]]
"""Consecutive rows: values by column."""
ID, EMBEDDING = "(id)", "(vector)"
"""The columns of what a database keeps beside the values of a row; the names do not meet those of values."""


@dataclass(frozen=True, slots=True)
class DatabaseSource:
    """The rows of one collection. `options` are defaults: columns, distance function.

    `left_out` are columns that are not read, with the reason, for the report.
    `pages` reads the rows from a number on, in the same order each time; it raises Unavailable and ImportRejected.
    """

    address: str
    """Without credentials."""
    name: str
    rows: int
    pages: Callable[[int], Iterator[Page]]
    version: str = ""
    options: Sidecar = field(default_factory=Sidecar)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The address of the database and the name of the collection."""
        return f"{self.address}/{self.name}"

    @property
    def size(self) -> int:
        """The number of rows."""
        return self.rows

    def read(self, start: int, length: int) -> bytes:
        """Rows are no bytes. Raises ImportRejected."""
        raise ImportRejected(f"{self.name} is no file: {length} bytes at {start} do not exist")

    def sibling(self, name: str) -> Source | None:
        """Nothing belongs to a collection."""
        del name
        return None

    def reload(self) -> Source:
        """The collection itself: a change after the start is not noticed."""
        return self

    def local_copy(self, spans: Sequence[Span]) -> AbstractContextManager[Path]:
        """There is none. Raises ImportRejected."""
        raise ImportRejected(f"{self.name} is no file: {len(spans)} spans do not exist")


def chosen_vector(name: str, vectors: Sequence[str], given: str | None) -> str:
    """The one of several vectors of a row that becomes the embedding. Raises ImportRejected."""
    if given is not None and given not in vectors:
        raise ImportRejected(f"{name} has no vectors {given!r}, only {', '.join(map(repr, vectors)) or 'none'}")
    if given is None and len(vectors) != 1:
        found = ", ".join(map(repr, vectors)) or "none"
        raise ImportRejected(f"{name} must have one kind of vectors, and has {found}: choose one by --embedding")
    return given or vectors[0]


def sparse_vector(indices: Sequence[int], values: Sequence[float]) -> dict[str, Any]:
    """A sparse vector as a metadata value; `indices` in any order."""
    pairs = sorted(zip(indices, values, strict=True))
    return {
        "#type": "sparse_vector",
        "indices": [index for index, _ in pairs],
        "values": [value for _, value in pairs],
    }
