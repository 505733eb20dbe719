"""The shapes of answers, for the OpenAPI page. Handlers write the bytes themselves."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from afterglow.api.models import Schema
from afterglow.api.models.fields import IncludeName

Metadata = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "additionalProperties": True, "example": {"page": 1, "tags": ["a", "b"]}}),
]


class Answered(BaseModel):
    """A JSON object."""

    model_config = ConfigDict(defer_build=True)


class Nothing(Answered):
    """Done."""


class Failure(Answered):
    """What went wrong: Chroma's name for it, and for whom it is meant to read."""

    error: Literal[
        "InvalidArgumentError",
        "NotFoundError",
        "InternalError",
        "ChromaError",
        "AuthError",
        "InvalidCollection",
        "InvalidDimension",
        "InvalidUUID",
        "UniqueConstraintError",
    ]
    message: str


class Import(Answered):
    """How an import of a file ended, or stands. Times are unix seconds."""

    id: str
    state: Literal["running", "done", "failed"]
    file: str
    size: int
    tenant: str
    database: str
    collection: str
    collection_id: str | None
    rows: int
    rejected: int
    ranges: int
    ranges_done: int
    started_at: float
    finished_at: float | None
    reason: str | None


class RejectedRow(Answered):
    """A row of a file that was not taken, and why."""

    file: str
    line: int
    reason: str


class Heartbeat(Answered):
    """The server's clock."""

    nanoseconds: int = Field(alias="nanosecond heartbeat")


class Readiness(Answered):
    """Whether the parts of the server answer."""

    is_executor_ready: bool
    is_log_client_ready: bool


class PreFlight(Answered):
    """What clients must know before they write."""

    max_batch_size: int
    supports_base64_encoding: bool


class Identity(Answered):
    """Who the caller is."""

    user_id: str
    tenant: str
    databases: list[str]


class Tenant(Answered):
    """A tenant."""

    name: str
    resource_name: str | None


class Database(Answered):
    """A database."""

    id: str = Field(json_schema_extra={"format": "uuid"})
    name: str
    tenant: str


class IndexConfiguration(Answered):
    """The vector index as configured."""

    space: Literal["l2", "cosine", "ip"]
    ef_construction: int
    ef_search: int
    max_neighbors: int
    resize_factor: float
    sync_threshold: int


class CollectionConfiguration(Answered):
    """How a collection's vectors are made and indexed."""

    hnsw: IndexConfiguration
    spann: None
    embedding_function: dict[str, Any] | None


class Collection(Answered):
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


class Got(Answered):
    """Records in insertion order; a field is null if it was not asked for."""

    ids: list[str]
    embeddings: list[list[float]] | None
    documents: list[str | None] | None
    uris: list[str | None] | None
    metadatas: list[Metadata | None] | None
    include: list[IncludeName]


class Found(Answered):
    """One list per query vector, nearest first; a field is null if it was not asked for."""

    ids: list[list[str]]
    embeddings: list[list[list[float]]] | None
    documents: list[list[str | None]] | None
    uris: list[list[str | None]] | None
    metadatas: list[list[Metadata | None]] | None
    distances: list[list[float | None]] | None
    include: list[IncludeName]


class Searched(Answered):
    """One list per search; a field is null for a search that did not select it."""

    ids: list[list[str]]
    documents: list[list[str | None] | None]
    embeddings: list[list[list[float]] | None]
    metadatas: list[list[Metadata | None] | None]
    scores: list[list[float | None] | None]
    select: list[list[str]]


class Deleted(Answered):
    """How many records were deleted; by ids alone, how many ids were given."""

    deleted: int


class IndexingStatus(Answered):
    """Operations ever logged, and how many of them are indexed."""

    op_indexing_progress: float
    num_unindexed_ops: int
    num_indexed_ops: int
    total_ops: int


class ForkCount(Answered):
    """How many forks there are."""

    count: int
