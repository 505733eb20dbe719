"""Bodies of transactions."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from afterglow.api.models.fields import U32, IncludeName, QueryEmbedding, QueryEmbeddings, StrictModel, Where
from afterglow.api.models.records import AddRecords, DeleteRecords, Filters, UpdateRecords, UpsertRecords
from afterglow.api.models.search import MAX_SEARCHES, Search

MAX_COLLECTIONS = 10
"""Of one commit: the payloads that are inline in their entries fit in one transaction of the table."""

ReadToken = Annotated[int, Field(ge=0, le=2**64 - 1)]


class ConditionalGet(Filters):
    """A read of a transaction; `read_token` is that of its first read, null in the first."""

    model_config = ConfigDict(json_schema_extra={"example": {"ids": ["a"], "read_token": None}})

    limit: U32 | None = None
    offset: U32 | None = None
    include: list[IncludeName] = Field(default=["documents", "metadatas"])
    read_token: ReadToken | None = None


EXACT = "compare the vectors with every record, without an index: recall is 1, and the time grows with the collection"


class ConditionalQuery(Filters):
    """A query of a transaction: the records nearest to each vector or text.

    `within` is the distance from which on other records do not matter: later writes beyond it do not conflict.
    """

    model_config = ConfigDict(
        json_schema_extra={"example": {"query_embeddings": [[0.1, 0.9]], "n_results": 1, "within": 0.1}}
    )

    query_embeddings: QueryEmbeddings = None
    query_texts: list[str] | None = None
    n_results: U32 | None = None
    include: list[IncludeName] = Field(default=["documents", "metadatas", "distances"])
    within: float | None = None
    exact: bool = Field(default=False, description=EXACT)
    read_token: ReadToken | None = None


class ConditionalSearch(StrictModel):
    """Searches of a transaction."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"searches": [{"rank": {"$knn": {"query": [0.1, 0.9], "limit": 3}}}], "read_token": None}
        }
    )

    searches: list[Search] = Field(max_length=MAX_SEARCHES)
    exact: bool = Field(default=False, description=EXACT)
    read_token: ReadToken | None = None


class AddOperation(StrictModel):
    """An add; its payload is the body of `add`."""

    operation: Literal["add"]
    payload: AddRecords


class UpdateOperation(StrictModel):
    """An update; its payload is the body of `update`."""

    operation: Literal["update"]
    payload: UpdateRecords


class UpsertOperation(StrictModel):
    """An upsert; its payload is the body of `upsert`."""

    operation: Literal["upsert"]
    payload: UpsertRecords


class DeleteOperation(StrictModel):
    """A delete; its payload is the body of `delete`. Those by filter precede all other operations."""

    operation: Literal["delete"]
    payload: DeleteRecords


Operation = Annotated[
    AddOperation | UpdateOperation | UpsertOperation | DeleteOperation, Field(discriminator="operation")
]


class ReadFilter(StrictModel):
    """A filter that the transaction has read with: its result must still be the same."""

    where: Where = None
    where_document: Where = None


class ReadQuery(Filters):
    """What a query or a search has read, as its response has it: the result must still be the same.

    The records that the filters select, `filter` being that of a search; with `query_embedding`, those among them whose
    distance from it is at most `within`, null for any distance.
    """

    filter: Where = None
    query_embedding: QueryEmbedding = None
    within: float | None = None


class CommitFields(StrictModel):
    """The operations of a transaction in one collection, and what it has read there."""

    read_token: ReadToken | None = None
    read_ids: list[str] = Field(default=[])
    operations: list[Operation]
    read_filters: list[ReadFilter] = Field(default=[])
    read_queries: list[ReadQuery] = Field(default=[])


class ConditionalCommit(CommitFields):
    """The operations of a transaction, and what it has read.

    `read_filters`, `read_queries` and `nonce` are Afterglow's own. With the `nonce` of an earlier commit of the same
    transaction, whose answer was lost, that answer is repeated.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "read_token": 1,
                "read_ids": ["a"],
                "operations": [{"operation": "add", "payload": {"ids": ["a"], "embeddings": [[0.1, 0.9]]}}],
            }
        }
    )

    nonce: str | None = None


class CollectionCommit(CommitFields):
    """The part of a transaction that concerns one collection; its operations may be none."""

    collection_id: str
    operations: list[Operation] = Field(default=[])


class JointCommit(StrictModel):
    """A transaction of several collections of one database. A `nonce` requires a `read_token` of all of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "collections": [
                    {
                        "collection_id": "00000000-0000-0000-0000-000000000000",
                        "read_token": 1,
                        "read_ids": ["a"],
                        "operations": [{"operation": "delete", "payload": {"ids": ["a"]}}],
                    }
                ]
            }
        }
    )

    collections: list[CollectionCommit] = Field(min_length=1, max_length=MAX_COLLECTIONS)
    nonce: str | None = None
