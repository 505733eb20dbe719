"""Bodies about records."""

from pydantic import ConfigDict, Field

from afterglow.api.models.fields import (
    U32,
    Embeddings,
    IncludeName,
    Metadatas,
    MetadatasChanges,
    QueryEmbeddings,
    RequestModel,
    Where,
)


class AddRecords(RequestModel):
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


class UpsertRecords(AddRecords):
    """Records to insert or update; null in metadata deletes the key."""

    metadatas: MetadatasChanges = None


class UpdateRecords(RequestModel):
    """Changes to records; absent and null fields remain unchanged, null in metadata deletes the key.

    A document without an embedding is embedded by the server, if it runs the collection's embedding function.
    """

    model_config = ConfigDict(json_schema_extra={"example": {"ids": ["a"], "metadatas": [{"page": 2}]}})

    ids: list[str]
    embeddings: Embeddings = None
    documents: list[str | None] | None = None
    metadatas: MetadatasChanges = None
    uris: list[str | None] | None = None


class Filters(RequestModel):
    """A selection of records: those that satisfy all given conditions."""

    ids: list[str] | None = None
    where: Where = None
    where_document: Where = None


class GetRecords(Filters):
    """Records in insertion order."""

    model_config = ConfigDict(json_schema_extra={"example": {"where": {"page": {"$gte": 1}}, "limit": 10}})

    limit: U32 | None = None
    offset: U32 | None = None
    include: list[IncludeName] = Field(default=["documents", "metadatas"])


class QueryRecords(Filters):
    """A query for the records nearest to each vector, or to each text; the server embeds texts."""

    model_config = ConfigDict(json_schema_extra={"example": {"query_embeddings": [[0.1, 0.9]], "n_results": 3}})

    query_embeddings: QueryEmbeddings = None
    query_texts: list[str] | None = None
    n_results: U32 | None = None
    include: list[IncludeName] = Field(default=["documents", "metadatas", "distances"])


class DeleteRecords(Filters):
    """Records to delete; `limit` only with a filter."""

    model_config = ConfigDict(json_schema_extra={"example": {"ids": ["a"]}})

    limit: U32 | None = None
