"""The schemas of request bodies, as Chroma's clients send them; the OpenAPI document shows the same schemas.

Unknown fields are ignored, except where Chroma refuses them. Large fields (embeddings, metadata, filters) are `Any`
here, with their schema for OpenAPI; `validation.embeddings`, `validation.metadata` and `filters.parse` validate them.
"""

from afterglow.api.models.collections import CreateCollection, ForkCollection, UpdateCollection
from afterglow.api.models.configuration import Configuration, EmbeddingFunction, UpdateConfiguration
from afterglow.api.models.embed import EmbedTexts
from afterglow.api.models.keys import CreateKey
from afterglow.api.models.records import (
    AddRecords,
    CountRecords,
    DeleteRecords,
    DistinctValues,
    Filters,
    GetRecords,
    QueryRecords,
    UpdateRecords,
    UpsertRecords,
    ValueRange,
)
from afterglow.api.models.schema import Schema
from afterglow.api.models.search import AttachFunction, DetachFunction, Search, SearchLimit, SearchRecords
from afterglow.api.models.tenants import CreateDatabase, CreateTenant, UpdateTenant
from afterglow.api.models.transactions import ConditionalCommit, ConditionalGet, DeleteOperation, Operation

__all__ = [
    "AddRecords",
    "AttachFunction",
    "ConditionalCommit",
    "ConditionalGet",
    "Configuration",
    "CountRecords",
    "CreateCollection",
    "CreateDatabase",
    "CreateKey",
    "CreateTenant",
    "DeleteOperation",
    "DeleteRecords",
    "DetachFunction",
    "DistinctValues",
    "EmbedTexts",
    "EmbeddingFunction",
    "Filters",
    "ForkCollection",
    "GetRecords",
    "Operation",
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
    "ValueRange",
]
