"""The shapes of request bodies, as Chroma's clients send them. Also what the OpenAPI page says of them.

Unknown fields are ignored, except where the genuine server refuses them. Heavy fields (embeddings, metadata, filters)
are `Any` here, with the schema that OpenAPI shows; `vectors`, `metadata` and `filters.parse` judge them.
"""

from afterglow.api.models.collections import CreateCollection, ForkCollection, UpdateCollection
from afterglow.api.models.configuration import Configuration, EmbeddingFunction, UpdateConfiguration
from afterglow.api.models.records import (
    AddRecords,
    DeleteRecords,
    Filters,
    GetRecords,
    QueryRecords,
    UpdateRecords,
    UpsertRecords,
)
from afterglow.api.models.schema import Schema
from afterglow.api.models.search import AttachFunction, DetachFunction, Search, SearchLimit, SearchRecords
from afterglow.api.models.tenants import CreateDatabase, CreateTenant, UpdateTenant

__all__ = [
    "AddRecords",
    "AttachFunction",
    "Configuration",
    "CreateCollection",
    "CreateDatabase",
    "CreateTenant",
    "DeleteRecords",
    "DetachFunction",
    "EmbeddingFunction",
    "Filters",
    "ForkCollection",
    "GetRecords",
    "QueryRecords",
    "Schema",
    "Search",
    "SearchLimit",
    "SearchRecords",
    "UpdateCollection",
    "UpdateConfiguration",
    "UpdateRecords",
    "UpdateTenant",
    "UpsertRecords",
]
