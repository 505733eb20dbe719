"""Arguments and results of the collection package."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog import collections
from afterglow.catalog.model import Collection
from afterglow.filters.ast import Filter


class Include(StrEnum):
    """Fields that a read may request."""

    DISTANCES = "distances"
    DOCUMENTS = "documents"
    EMBEDDINGS = "embeddings"
    METADATAS = "metadatas"
    URIS = "uris"


class ReadLevel(StrEnum):
    """Freshness of a read: with the unflushed log (the default), or the checkpoint alone."""

    INDEX_AND_WAL = "index_and_wal"
    INDEX_ONLY = "index_only"
    INDEX_AND_BOUNDED_WAL = "index_and_bounded_wal"


ANY_COLLECTION = "*"
"""The name under which a restriction has the filter for every collection without its own."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """A filter for each collection, by name: the caller sees and writes only the records that match it."""

    filters: Mapping[str, Filter]

    def filter_of(self, name: str) -> Filter | None:
        """The filter for the collection of this name; None: for the caller, it does not exist."""
        return self.filters.get(name) or self.filters.get(ANY_COLLECTION)


@dataclass(frozen=True, slots=True)
class Scope:
    """A collection, and the tenant and database that the caller expects it in.

    With a `restriction`, the caller sees and writes only a part of its records.
    """

    tenant: str
    database: str
    collection: UUID
    restriction: Restriction | None = None


def is_in_scope(scope: Scope, collection: Collection) -> bool:
    """Whether the collection is in the tenant and database of the scope, whose restriction, if any, has it."""
    if (collection.tenant, collection.database) != (scope.tenant, scope.database):
        return False
    return scope.restriction is None or scope.restriction.filter_of(collection.name) is not None


def require_in_scope(scope: Scope, collection: Collection | None) -> Collection:
    """The collection if it exists in the scope. Raises NotFound."""
    if collection is None or not is_in_scope(scope, collection):
        raise collections.not_found(scope.collection)
    return collection


@dataclass(frozen=True, slots=True)
class Selection:
    """The records that satisfy every condition that is not None."""

    ids: Sequence[str] | None = None
    where: Filter | None = None
    where_document: Filter | None = None


@dataclass(frozen=True, slots=True)
class Records:
    """Records in order, with the requested fields (None: not requested).

    `embeddings` is float32 (n, dimension); `metadatas` are JSON objects as bytes, None where the record has none.
    `position` is the number of the last log entry in the snapshot.
    """

    ids: list[str]
    embeddings: NDArray[np.float32] | None = None
    documents: list[str | None] | None = None
    metadatas: list[bytes | None] | None = None
    uris: list[str | None] | None = None
    position: int = 0

    def slice(self, start: int, stop: int) -> "Records":
        """The records from index `start` to `stop`."""
        if not start and stop == len(self.ids):
            return self
        return Records(
            ids=self.ids[start:stop],
            embeddings=None if self.embeddings is None else self.embeddings[start:stop],
            documents=None if self.documents is None else self.documents[start:stop],
            metadatas=None if self.metadatas is None else self.metadatas[start:stop],
            uris=None if self.uris is None else self.uris[start:stop],
            position=self.position,
        )


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A log up to entry `seq`: the operations and the log's time (Unix ms) there, the version of the state then.

    `held_until`, in Unix seconds, is that of the state (`collection.write.hold`).
    """

    seq: int
    ops: int
    log_time: int
    state_version: int
    held_until: float = 0.0


@dataclass(frozen=True, slots=True)
class CountResult:
    """A number of live or deleted records; `position`: the delete's log entry, or the last one in the snapshot."""

    count: int
    position: int | None


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The nearest records of one query, nearest first; `distances` is float32 (n,)."""

    records: Records
    distances: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, dtype=np.float32))


@dataclass(frozen=True, slots=True)
class IndexingStatus:
    """Logged operations (records in writes) so far, and how many of them are indexed.

    An operation is indexed in two steps: it is flushed, and its record becomes part of an index; `flushed_ops` have
    taken at least the first. `built_ops` is how many more an index that is being built amounts to so far: less than the
    operations that it will add.
    """

    total_ops: int
    indexed_ops: int
    flushed_ops: int
    built_ops: float = 0.0

    @property
    def progress(self) -> float:
        """The share of the steps that are done; 1 only if all operations are indexed."""
        done = self.flushed_ops + self.indexed_ops + self.built_ops
        return done / (2 * self.total_ops) if self.total_ops else 1.0
