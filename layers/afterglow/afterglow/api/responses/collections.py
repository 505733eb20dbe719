"""Tenants, databases and collections."""

from typing import Any, Literal

from pydantic import Field

from afterglow.api.models import Schema
from afterglow.api.responses.base import Metadata, ResponseModel


class Tenant(ResponseModel):
    """A tenant."""

    name: str
    resource_name: str | None


class Database(ResponseModel):
    """A database."""

    id: str = Field(json_schema_extra={"format": "uuid"})
    name: str
    tenant: str


class IndexConfiguration(ResponseModel):
    """The vector index as configured."""

    space: Literal["l2", "cosine", "ip"]
    ef_construction: int
    ef_search: int
    max_neighbors: int
    resize_factor: float
    sync_threshold: int


class CollectionConfiguration(ResponseModel):
    """The vector index and the embedding function of a collection."""

    hnsw: IndexConfiguration
    spann: None
    embedding_function: dict[str, Any] | None


class Collection(ResponseModel):
    """A collection."""

    id: str = Field(json_schema_extra={"format": "uuid"})
    name: str
    configuration_json: CollectionConfiguration
    stored_schema: Schema = Field(alias="schema")
    metadata: Metadata | None
    dimension: int | None
    tenant: str
    database: str
    log_position: int
    version: int


class IndexingStatus(ResponseModel):
    """The numbers of logged and of indexed operations; the progress counts a flushed operation as half indexed."""

    op_indexing_progress: float
    num_unindexed_ops: int
    num_indexed_ops: int
    total_ops: int


class ForkCount(ResponseModel):
    """The number of forks in a collection's lineage."""

    count: int
