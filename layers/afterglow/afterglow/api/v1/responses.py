"""The schemas of v1's responses, for the OpenAPI document."""

from typing import Literal

from pydantic import Field

from afterglow.api.models.fields import IncludeName
from afterglow.api.responses import Metadata, ResponseModel


class V1PreFlight(ResponseModel):
    """Limits of the server that clients read before they write."""

    max_batch_size: int


class V1Tenant(ResponseModel):
    """A tenant."""

    name: str


class V1Index(ResponseModel):
    """The vector index as configured."""

    space: Literal["l2", "cosine", "ip"]
    ef_construction: int
    ef_search: int
    num_threads: int
    neighbors: int = Field(alias="M")
    resize_factor: float
    batch_size: int
    sync_threshold: int
    kind: Literal["HNSWConfigurationInternal"] = Field(alias="_type")


class V1Configuration(ResponseModel):
    """The index configuration of a collection."""

    hnsw_configuration: V1Index
    kind: Literal["CollectionConfigurationInternal"] = Field(alias="_type")


class V1Collection(ResponseModel):
    """A collection."""

    id: str = Field(json_schema_extra={"format": "uuid"})
    name: str
    configuration_json: V1Configuration
    metadata: Metadata | None
    dimension: int | None
    tenant: str
    database: str
    log_position: int
    version: int


class V1GetResponse(ResponseModel):
    """Records in insertion order; a field is null if it was not asked for."""

    ids: list[str]
    embeddings: list[list[float]] | None
    documents: list[str | None] | None
    uris: list[str | None] | None
    metadatas: list[Metadata | None] | None
    data: None
    included: list[IncludeName]


class V1QueryResponse(ResponseModel):
    """One list per query vector, nearest first; a field is null if it was not asked for."""

    ids: list[list[str]]
    embeddings: list[list[list[float]]] | None
    documents: list[list[str | None]] | None
    uris: list[list[str | None]] | None
    metadatas: list[list[Metadata | None]] | None
    distances: list[list[float | None]] | None
    data: None
    included: list[IncludeName]
