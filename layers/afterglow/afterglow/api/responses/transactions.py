"""Responses of transactions, and the lines of the change feed."""

from typing import Literal

from afterglow.api.models import ReadQuery
from afterglow.api.responses.base import Metadata, ResponseModel
from afterglow.api.responses.records import GetResponse, QueryResponse, SearchResponse


class ConditionalGetResponse(GetResponse):
    """Records in insertion order, and the token by which later reads of the transaction see the same snapshot.

    For an API key with filters it is a different number in each transaction.
    """

    read_token: int


class ConditionalCommitResponse(ResponseModel):
    """The log position of the transaction, null if it wrote nothing, and the number of records in its operations.

    For an API key with filters, the position is null and only the records that were written count.
    """

    first_inserted_record_offset: int | None
    record_count: int


class CollectionCommitResponse(ConditionalCommitResponse):
    """The result of one collection of a joint commit."""

    collection_id: str


class JointCommitResponse(ResponseModel):
    """The collections in the order of the request."""

    collections: list[CollectionCommitResponse]


class ConditionalQueryResponse(QueryResponse):
    """The nearest records, the token for later reads, and what to send back with the commit."""

    read_token: int
    read_queries: list[ReadQuery]


class ConditionalSearchResponse(SearchResponse):
    """The results of searches, the token for later reads, and what to send back with the commit."""

    read_token: int
    read_queries: list[ReadQuery]


class ChangedRecords(ResponseModel):
    """The records of a write as they were sent, with the fields that they had."""

    ids: list[str]
    embeddings: list[list[float] | None] | None = None
    documents: list[str | None] | None = None
    metadatas: list[Metadata | None] | None = None
    uris: list[str | None] | None = None


class Change(ResponseModel):
    """A write, or a part of a large one. `next` is the position to continue from; `time` is in Unix milliseconds."""

    position: int
    offset: int
    total: int
    time: int
    operation: Literal["add", "update", "upsert", "delete"]
    ttl_key: str | None = None
    records: ChangedRecords
    next: str
