"""The interface of both ends of an export or a migration: list, read and create collections, add records."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from afterglow.catalog.index_configuration import is_default_function, legacy_parameters
from afterglow.collection.types import Include, Records

ALL_FIELDS = frozenset({Include.DOCUMENTS, Include.EMBEDDINGS, Include.METADATAS, Include.URIS})
NO_FIELDS: frozenset[Include] = frozenset()
_LEGACY = "hnsw:"
_OLD_NAMES = {"M": "max_neighbors"}
_WIRE_PARAMETERS = ("space", "ef_construction", "ef_search", "max_neighbors", "resize_factor", "sync_threshold")


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection as the API describes it. `schema` is None if an older server has none."""

    id: str
    tenant: str
    database: str
    name: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    dimension: int | None = None

    def __str__(self) -> str:
        return f"{self.tenant}/{self.database}/{self.name}"


@dataclass(frozen=True, slots=True)
class RecordStream:
    """A collection's records in insertion order: their number at the start, and pages of them."""

    count: int
    pages: Iterator[Records]


@dataclass(frozen=True, slots=True)
class Changes:
    """Lines of JSON, in order (`collection.changes.lines`), and the position behind them."""

    lines: list[bytes]
    next: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One result of a nearest-neighbour query."""

    id: str
    distance: float
    document: str | None


class Source(Protocol):
    """What a migration reads. Every method raises Unavailable, and the library's errors."""

    def tenants(self) -> list[str]:
        """Every known tenant."""

    def databases(self, tenant: str) -> list[str]:
        """The tenant's databases, by name."""

    def collections(self, tenant: str, database: str) -> list[CollectionInfo]:
        """The database's collections, by name."""

    def count(self, collection: CollectionInfo) -> int:
        """The number of its records."""

    def read(
        self, collection: CollectionInfo, include: frozenset[Include] = ALL_FIELDS, offset: int = 0
    ) -> RecordStream:
        """Its records from `offset` on, in insertion order."""

    def get(self, collection: CollectionInfo, ids: Sequence[str]) -> Records:
        """The existing ones of these records, in any order."""


class Endpoint(Source, Protocol):
    """One end of a transfer."""

    @property
    def max_rows(self) -> int:
        """The largest number of records in one write."""

    def find(self, tenant: str, database: str, name: str) -> CollectionInfo | None:
        """The collection with this name, None if there is none."""

    def unindexed(self, collection: CollectionInfo) -> int:
        """The number of its operations that no segment holds yet."""

    def nearest(
        self, collection: CollectionInfo, query: Sequence[float] | str, k: int, where: Mapping[str, Any] | None
    ) -> list[Hit]:
        """Its `k` records nearest to a vector or to a text that match the filter, nearest first."""

    def position(self, collection: CollectionInfo) -> int:
        """The position of its last log entry. Raises Unimplemented for a server without positions."""

    def changes(self, collection: CollectionInfo, after: str, limit: int, wait_seconds: int = 0) -> Changes:
        """At most `limit` lines of its changes after a position; may wait so long if there are none yet.

        Raises PositionExpired, and InvalidArgument for a position that does not exist.
        """

    def delete(self, collection: CollectionInfo) -> None:
        """Delete the collection."""

    def create_database(self, tenant: str, database: str) -> None:
        """Create the tenant and the database if they do not exist."""

    def create_collection(self, like: CollectionInfo) -> CollectionInfo:
        """Create a collection like this one, with its name, tenant and database. Raises AlreadyExists."""

    def add(self, collection: CollectionInfo, records: Records) -> None:
        """Add at most `max_rows` records in one write; durable on return. Existing records are left alone."""


def with_legacy_parameters(collection: CollectionInfo) -> Mapping[str, Any]:
    """The configuration in its current form, with the index parameters of the metadata (`hnsw:` keys).

    Servers of Chroma up to 0.6 leave these out, and describe the index by `hnsw_configuration`.
    """
    configuration = collection.configuration
    if "hnsw_configuration" in configuration:
        old = old_parameters(configuration)
        parameters = {name: value for name, value in old.items() if name in _WIRE_PARAMETERS}
        configuration = {"hnsw": parameters, "spann": None, "embedding_function": None}
    hnsw = configuration.get("hnsw")
    legacy = legacy_parameters(collection.metadata or {})
    if not isinstance(hnsw, dict) or not legacy:
        return configuration
    return {**configuration, "hnsw": {name: legacy.get(name, value) for name, value in hnsw.items()}}


def old_parameters(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in the `hnsw_configuration` of Chroma 0.5 and 0.6, by their current names."""
    parameters = configuration["hnsw_configuration"].items()
    return {_OLD_NAMES.get(name, name): value for name, value in parameters if not name.startswith("_")}


def create_request(like: CollectionInfo) -> dict[str, Any]:
    """The fields of a create request, besides name and metadata, that yield a collection like this one.

    A schema contains everything that a configuration does, and both are allowed together only for the default
    embedding function of clients, which a schema treats as unset. With index settings in the metadata (`hnsw:` keys,
    older than both) no schema is allowed.
    """
    if like.schema is None or any(key.startswith(_LEGACY) for key in like.metadata or ()):
        return {"configuration": with_legacy_parameters(like)}
    function = like.configuration.get("embedding_function")
    if function is None or not is_default_function(function):
        return {"schema": like.schema}
    return {"schema": like.schema, "configuration": {"embedding_function": function}}
