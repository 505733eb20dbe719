"""The schemas of responses, for the OpenAPI document. Handlers encode the bytes themselves."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from afterglow.api.models import ReadQuery, Schema
from afterglow.api.models.fields import IncludeName

Metadata = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "additionalProperties": True, "example": {"page": 1, "tags": ["a", "b"]}}),
]


class ResponseModel(BaseModel):
    """A JSON object."""

    model_config = ConfigDict(defer_build=True)


class EmptyResponse(ResponseModel):
    """An empty object: success."""


class ErrorResponse(ResponseModel):
    """Chroma's name of the error, and a message for a person."""

    error: Literal[
        "InvalidArgumentError",
        "NotFoundError",
        "InternalError",
        "ChromaError",
        "AuthError",
        "Backoff",
        "ConditionalWriteConflictError",
        "StaleReadError",
        "InvalidCollection",
        "InvalidDimension",
        "InvalidUUID",
        "UniqueConstraintError",
    ]
    message: str


class Import(ResponseModel):
    """The report of an import, running or finished. Times are unix seconds."""

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
    columns: dict[str, str]
    ignored: dict[str, str]
    left_out: dict[str, int]


class RejectedRow(ResponseModel):
    """A rejected row of a file, with the reason."""

    file: str
    line: int
    reason: str


class Heartbeat(ResponseModel):
    """The server's clock."""

    nanoseconds: int = Field(alias="nanosecond heartbeat")


class Readiness(ResponseModel):
    """Whether the server's components are available."""

    is_executor_ready: bool
    is_log_client_ready: bool


class Health(ResponseModel):
    """The process serves requests."""

    status: Literal["ok"]


class Ready(ResponseModel):
    """Whether requests would succeed, and what is wrong if not."""

    ready: bool
    problems: list[str]


class PreFlight(ResponseModel):
    """Limits of the server that clients read before they write."""

    max_batch_size: int
    supports_base64_encoding: bool


class Identity(ResponseModel):
    """The caller's identity and scope."""

    user_id: str
    tenant: str
    databases: list[str]


class Key(ResponseModel):
    """An API key without its secret. Without `databases` it is for every database of the tenant.

    `created` is in unix seconds. `creator` is the user who created it over HTTP, null for the command line.
    """

    id: str
    name: str
    role: Literal["reader", "writer", "admin"]
    tenant: str
    databases: list[str] | None
    filters: dict[str, Any] | None
    created: int
    creator: str | None


class CreatedKey(Key):
    """A new API key; `key` is its text, which is not stored."""

    key: str


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


class ExplainedGroup(ResponseModel):
    """The search of one row group, a segment or the memtable, for the nearest records.

    `rows` includes deleted ones, `matching` are inside the filter. `index` is the index that the row group has.
    `breadth` is how much of it was searched: nodes kept in a graph (ef), lists read out of `of`, or terms of a sparse
    query. `compared` counts the distances, or postings. `recall` is promised by the breadth.
    """

    rows: int
    matching: int
    index: Literal["graph", "lists", "postings"] | None
    method: Literal["none", "scan", "graph", "lists", "postings"]
    breadth: int | None
    of: int | None
    compared: int
    recall: float | None
    may_lose_recall: bool


class ExplainedNeighbors(ResponseModel):
    """The search for the `k` nearest records of each of several vectors."""

    key: str
    k: int
    vectors: int
    row_groups: list[ExplainedGroup]


class ExplainedRerank(ResponseModel):
    """The documents that a cross-encoder scored, of the first `limit` records of an expression."""

    limit: int
    documents: int


class ExplainedSearch(ResponseModel):
    """One search: the rows of the snapshot, deleted ones included, and those that the filter leaves."""

    rows: int
    matching: int
    conditions: int
    reads_documents: bool
    neighbors: list[ExplainedNeighbors]
    reranked: list[ExplainedRerank]


class Explanation(ResponseModel):
    """How a read was executed.

    The times are milliseconds by phase. `left_out` entries of a large explanation are not listed. `requests` are those
    to AWS services, and texts embedded, by name; `dollars` is what AWS bills for them.
    """

    milliseconds: dict[str, float]
    records: int
    row_groups: int
    log_position: int
    may_lose_recall: bool
    searches: list[ExplainedSearch]
    left_out: int
    requests: dict[str, int]
    read_units: float
    bytes_read: int
    dollars: float


class GetResponse(ResponseModel):
    """Records in insertion order; a field is null if it was not asked for."""

    ids: list[str]
    embeddings: list[list[float]] | None
    documents: list[str | None] | None
    uris: list[str | None] | None
    metadatas: list[Metadata | None] | None
    explain: Explanation | None = None
    include: list[IncludeName]


class ConditionalGetResponse(GetResponse):
    """Records in insertion order, and the token by which later reads of the transaction see the same snapshot."""

    read_token: int


class ConditionalCommitResponse(ResponseModel):
    """The log position of the transaction, null if it wrote nothing, and the number of records in its operations."""

    first_inserted_record_offset: int | None
    record_count: int


class QueryResponse(ResponseModel):
    """One list per query vector, nearest first; a field is null if it was not asked for."""

    ids: list[list[str]]
    embeddings: list[list[list[float]]] | None
    documents: list[list[str | None]] | None
    uris: list[list[str | None]] | None
    metadatas: list[list[Metadata | None]] | None
    distances: list[list[float | None]] | None
    explain: Explanation | None = None
    include: list[IncludeName]


class SearchResponse(ResponseModel):
    """One list per search; a field is null for a search that did not select it."""

    ids: list[list[str]]
    documents: list[list[str | None] | None]
    embeddings: list[list[list[float]] | None]
    metadatas: list[list[Metadata | None] | None]
    scores: list[list[float | None] | None]
    select: list[list[str]]
    explain: Explanation | None = None


class ConditionalQueryResponse(QueryResponse):
    """The nearest records, the token for later reads, and what to send back with the commit."""

    read_token: int
    read_queries: list[ReadQuery]


class ConditionalSearchResponse(SearchResponse):
    """The results of searches, the token for later reads, and what to send back with the commit."""

    read_token: int
    read_queries: list[ReadQuery]


class ValueCount(ResponseModel):
    """A value of a metadata key, and the number of records that have it."""

    value: bool | int | float | str
    count: int


class DistinctResponse(ResponseModel):
    """The most frequent values first, then by value; `total` is the number of all distinct values."""

    values: list[ValueCount]
    total: int


class MinMaxResponse(ResponseModel):
    """The least and the greatest value, null without any; `count` is the number of records that have a value."""

    min: bool | int | float | str | None
    max: bool | int | float | str | None
    count: int


class ChangedRecords(ResponseModel):
    """The records of a write as they were sent, with the fields that they had."""

    ids: list[str]
    embeddings: list[list[float] | None] | None = None
    documents: list[str | None] | None = None
    metadatas: list[Metadata | None] | None = None
    uris: list[str | None] | None = None


class Change(ResponseModel):
    """One line: a write, or a part of a large one. `next` is the position behind it, `time` in Unix milliseconds."""

    position: int
    offset: int
    total: int
    time: int
    operation: Literal["add", "update", "upsert", "delete"]
    ttl_key: str | None = None
    records: ChangedRecords
    next: str


class DeleteResponse(ResponseModel):
    """The number of deleted records; for a deletion by ids alone, the number of ids in the request.

    With `erase`: `erasure` is the id of the erasure, null if no record was selected.
    """

    deleted: int
    erasure: str | None = None


class ErasureReport(ResponseModel):
    """The report of an erasure; times are Unix seconds. `objects` are those that were deleted, once it is known."""

    id: str
    collection_id: str
    state: Literal["requested", "rewriting", "deleting", "finished"]
    records: int
    requested_at: float
    deadline: float
    finished_at: float | None
    objects: list[str] | None


class IndexingStatus(ResponseModel):
    """The numbers of logged and of indexed operations; the progress counts a flushed operation as half indexed."""

    op_indexing_progress: float
    num_unindexed_ops: int
    num_indexed_ops: int
    total_ops: int


class FunctionSummary(ResponseModel):
    """An attached function: its own name, and the name of what it computes."""

    id: str = Field(json_schema_extra={"format": "uuid"})
    name: str
    function_name: str


class FunctionAttachment(ResponseModel):
    """The attached function, and whether this request attached it."""

    attached_function: FunctionSummary
    created: bool


class AttachedFunction(FunctionSummary):
    """An attached function. Its output reflects the log up to `completion_offset`; `params` is JSON."""

    input_collection_id: str = Field(json_schema_extra={"format": "uuid"})
    output_collection: str
    output_collection_id: str = Field(json_schema_extra={"format": "uuid"})
    params: str | None
    tenant_id: str
    database_id: str
    completion_offset: int
    min_records_for_invocation: int


class AttachedFunctionResponse(ResponseModel):
    """An attached function."""

    attached_function: AttachedFunction


class FunctionDetachment(ResponseModel):
    """The function was detached."""

    success: bool


class ForkCount(ResponseModel):
    """The number of forks in a collection's lineage."""

    count: int
