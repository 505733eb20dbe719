"""Bodies about records."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from afterglow.api.models.fields import (
    EXPLAIN,
    U32,
    Embeddings,
    Ignored,
    IncludeName,
    Metadatas,
    MetadatasChanges,
    QueryEmbeddings,
    StrictModel,
    Where,
)

_GET_FIELDS: Any = ("documents", "metadatas")
_QUERY_FIELDS: Any = (*_GET_FIELDS, "distances")
"""Of what is included by default. pydantic copies a list for every request."""
DEFAULT_VALUES, MAX_VALUES = 100, 10_000
"""The number of distinct values in a response."""


class AddRecords(StrictModel):
    """Records to add or upsert; all lists have the length of `ids`.

    A record without an embedding needs a document, which the server embeds.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "ids": ["a", "b"],
                "embeddings": [[0.1, 0.9], [0.8, 0.2]],
                "documents": ["first", None],
                "metadatas": [{"page": 1}, None],
            }
        }
    )

    ids: list[str]
    embeddings: Embeddings = None
    documents: list[str | None] | None = None
    metadatas: Metadatas = None
    uris: list[str | None] | None = None
    increment_index: Ignored = None


class UpsertRecords(AddRecords):
    """Records to insert or update; null in metadata deletes the key."""

    metadatas: MetadatasChanges = None


class UpdateRecords(StrictModel):
    """Changes to records; absent and null fields remain unchanged, null in metadata deletes the key.

    A document without an embedding is embedded by the server, if it runs the collection's embedding function.
    """

    model_config = ConfigDict(json_schema_extra={"example": {"ids": ["a"], "metadatas": [{"page": 2}]}})

    ids: list[str]
    embeddings: Embeddings = None
    documents: list[str | None] | None = None
    metadatas: MetadatasChanges = None
    uris: list[str | None] | None = None
    increment_index: Ignored = None


class Filters(StrictModel):
    """A selection of records: those that satisfy all given conditions."""

    ids: list[str] | None = None
    where: Where = None
    where_document: Where = None


class GetRecords(Filters):
    """Records in insertion order."""

    model_config = ConfigDict(json_schema_extra={"example": {"where": {"page": {"$gte": 1}}, "limit": 10}})

    limit: U32 | None = None
    offset: U32 | None = None
    include: list[IncludeName] = Field(default=_GET_FIELDS)
    explain: bool = Field(default=False, description=EXPLAIN)
    sort: Ignored = None


class QueryRecords(Filters):
    """A query for the records nearest to each vector, or to each text; the server embeds texts."""

    model_config = ConfigDict(json_schema_extra={"example": {"query_embeddings": [[0.1, 0.9]], "n_results": 3}})

    query_embeddings: QueryEmbeddings = None
    query_texts: list[str] | None = None
    n_results: U32 | None = None
    include: list[IncludeName] = Field(default=_QUERY_FIELDS)
    explain: bool = Field(default=False, description=EXPLAIN)


class CountRecords(Filters):
    """Records to count."""

    model_config = ConfigDict(json_schema_extra={"example": {"where": {"page": {"$gte": 1}}}})


class DistinctValues(Filters):
    """The metadata key whose values are counted, in the selected records; at most `limit` values are returned."""

    model_config = ConfigDict(json_schema_extra={"example": {"key": "page", "limit": 10}})

    key: str
    limit: Annotated[int, Field(ge=0, le=MAX_VALUES)] = DEFAULT_VALUES


class ValueRange(Filters):
    """The metadata key whose least and greatest value are returned, in the selected records."""

    model_config = ConfigDict(json_schema_extra={"example": {"key": "page"}})

    key: str


class DeleteRecords(Filters):
    """Records to delete; `limit` only with a filter. `erase`: they leave the past and all forks, too."""

    model_config = ConfigDict(json_schema_extra={"example": {"ids": ["a"]}})

    limit: U32 | None = None
    erase: bool = False
