"""Records: read, deleted, erased, summarized."""

from typing import Literal

from afterglow.api.models.fields import IncludeName
from afterglow.api.responses.base import Metadata, ResponseModel
from afterglow.api.responses.explanation import Explanation


class GetResponse(ResponseModel):
    """Records in insertion order; a field is null if it was not asked for."""

    ids: list[str]
    embeddings: list[list[float]] | None
    documents: list[str | None] | None
    uris: list[str | None] | None
    metadatas: list[Metadata | None] | None
    explain: Explanation | None = None
    include: list[IncludeName]


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
