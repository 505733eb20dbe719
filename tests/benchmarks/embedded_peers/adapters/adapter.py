"""What a peer does, and the records that it gets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

K = 10


@dataclass(frozen=True, slots=True)
class Records:
    """n records: float32 `vectors` (n, d) of unit length, and for each an id, a document, a section and a size."""

    vectors: Vectors
    ids: list[str]
    documents: list[str]
    sections: list[str]
    sizes: list[int]


@dataclass(frozen=True, slots=True)
class Where:
    """A filter: a section, or a least size."""

    section: str | None = None
    over: int | None = None

    def sql(self) -> str:
        """As a condition of SQL."""
        return f"size > {self.over}" if self.section is None else f"section = '{self.section}'"

    def mongo(self) -> dict[str, Any]:
        """As a condition of Chroma."""
        return {"size": {"$gt": self.over}} if self.section is None else {"section": self.section}


class Adapter(Protocol):
    """One open peer."""

    breadths: Sequence[int]
    """Settings of its search, each wider than the one before; a single 0 if there are none."""
    has_records: bool
    """Whether it holds records, with filters, updates and deletions; not a bare index."""

    def load(self, start: int, stop: int) -> None:
        """Add these records, durably if it is durable."""

    def finish_index(self) -> None:
        """Wait until all records are indexed."""

    def query(self, vector: Vectors, breadth: int, where: Where | None = None) -> list[str]:
        """The ids of the ten nearest records."""

    def update(self, row: int, vector: Vectors) -> None:
        """Replace the vector of a record."""

    def delete(self, rows: Sequence[int]) -> None:
        """Delete records."""

    def close(self) -> None:
        """Close it; what is durable is on the disk."""
