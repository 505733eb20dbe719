"""The two ends of a move: what there is, records in pages, making and adding."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from afterglow.catalog.index_configuration import is_default_function
from afterglow.collection.types import Include, Records

ALL_FIELDS = frozenset({Include.DOCUMENTS, Include.EMBEDDINGS, Include.METADATAS, Include.URIS})
NO_FIELDS: frozenset[Include] = frozenset()
_LEGACY = "hnsw:"


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection as the wire describes it. `schema` is None where an older server has none."""

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
    """A collection's records in insertion order: how many when they were begun, and pages of them."""

    count: int
    pages: Iterator[Records]


class Endpoint(Protocol):
    """One end of a move. Everything raises Unavailable, and what the library raises."""

    @property
    def max_rows(self) -> int:
        """Records that one write should have, at most."""

    def tenants(self) -> list[str]:
        """Every tenant that can be known of."""

    def databases(self, tenant: str) -> list[str]:
        """The tenant's databases, by name."""

    def collections(self, tenant: str, database: str) -> list[CollectionInfo]:
        """The database's collections, by name."""

    def find(self, tenant: str, database: str, name: str) -> CollectionInfo | None:
        """The collection of this name."""

    def count(self, of: CollectionInfo) -> int:
        """How many records it has."""

    def read(self, of: CollectionInfo, include: frozenset[Include] = ALL_FIELDS, offset: int = 0) -> RecordStream:
        """Its records from `offset` on, in insertion order."""

    def get(self, of: CollectionInfo, ids: Sequence[str]) -> Records:
        """Those of these records that there are, in whatever order."""

    def create_database(self, tenant: str, database: str) -> None:
        """Make the tenant and the database, where they are missing."""

    def create_collection(self, like: CollectionInfo) -> CollectionInfo:
        """Make a collection like this one, of the same name, tenant and database. Raises AlreadyExists."""

    def add(self, to: CollectionInfo, records: Records) -> None:
        """Add records, `rows` of them at most, in one write; durable when it returns. Those there are left alone."""


def create_request(like: CollectionInfo) -> dict[str, Any]:
    """What a create request must ask for, beside name and metadata, to get a collection like this one.

    A schema says all that a configuration does, and where it says anything no configuration may say it again, but for
    the function that clients embed with by default: in a schema that goes for nothing said. Where the metadata speaks
    of the index, as it did before there was either (`hnsw:` keys), no schema may be given beside it.
    """
    if like.schema is None or any(key.startswith(_LEGACY) for key in like.metadata or ()):
        return {"configuration": like.configuration}
    function = like.configuration.get("embedding_function")
    if function is None or not is_default_function(function):
        return {"schema": like.schema}
    return {"schema": like.schema, "configuration": {"embedding_function": function}}


def slice_records(records: Records, start: int, stop: int) -> Records:
    """Some of the records, by place."""
    return Records(
        ids=records.ids[start:stop],
        embeddings=None if records.embeddings is None else records.embeddings[start:stop],
        documents=None if records.documents is None else records.documents[start:stop],
        metadatas=None if records.metadatas is None else records.metadatas[start:stop],
        uris=None if records.uris is None else records.uris[start:stop],
    )
