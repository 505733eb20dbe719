"""What goes into and comes out of the collection room."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog import collections
from afterglow.catalog.model import Collection
from afterglow.filters.ast import Filter


class Include(StrEnum):
    """Fields a read may ask for."""

    DISTANCES = "distances"
    DOCUMENTS = "documents"
    EMBEDDINGS = "embeddings"
    METADATAS = "metadatas"
    URIS = "uris"


class ReadLevel(StrEnum):
    """How fresh a read must be: with the log's tail (the default), or the indexed part alone."""

    INDEX_AND_WAL = "index_and_wal"
    INDEX_ONLY = "index_only"
    INDEX_AND_BOUNDED_WAL = "index_and_bounded_wal"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which collection, and the tenant and database that the caller says it is in."""

    tenant: str
    database: str
    collection: UUID


def require_in_scope(scope: Scope, collection: Collection | None) -> Collection:
    """The collection, if it is there, in the tenant and database of the scope. Raises NotFound."""
    is_there = collection is not None and (collection.tenant, collection.database) == (scope.tenant, scope.database)
    if collection is None or not is_there:
        raise collections.not_found(scope.collection)
    return collection


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records: those that satisfy every part that is given (None: not given)."""

    ids: Sequence[str] | None = None
    where: Filter | None = None
    where_document: Filter | None = None


@dataclass(frozen=True, slots=True)
class Records:
    """Records in order, with the fields that were asked for (None: not asked for).

    `embeddings` is float32 (n, dimension); `metadatas` are JSON objects as bytes, None where the record has none.
    `position` is the number of the last log entry that was seen.
    """

    ids: list[str]
    embeddings: NDArray[np.float32] | None = None
    documents: list[str | None] | None = None
    metadatas: list[bytes | None] | None = None
    uris: list[str | None] | None = None
    position: int = 0


@dataclass(frozen=True, slots=True)
class CountResult:
    """How many records there are, or were deleted; `position` is the log entry that did it, or the last one seen."""

    count: int
    position: int | None


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The nearest records of one query, nearest first; `distances` is float32 (n,)."""

    records: Records
    distances: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, dtype=np.float32))


@dataclass(frozen=True, slots=True)
class IndexingStatus:
    """Operations (records named by writes) ever logged, and how many of them the checkpoint holds."""

    total_ops: int
    indexed_ops: int
