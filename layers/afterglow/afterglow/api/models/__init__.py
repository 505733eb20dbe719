"""The schemas of request bodies, as Chroma's clients send them; the OpenAPI document shows the same schemas.

Unknown fields are ignored, except where Chroma refuses them. Large fields (embeddings, metadata, filters) are `Any`
here, with their schema for OpenAPI; `validation.embeddings`, `validation.metadata` and `filters.parse` validate them.

Each is imported with its first use: a process that only answers queries needs one of these modules.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from afterglow.api.models.transactions import (
        CommitFields,
        ConditionalCommit,
        ConditionalGet,
        ConditionalQuery,
        ConditionalSearch,
        DeleteOperation,
        JointCommit,
        Operation,
        ReadQuery,
    )

__all__ = [
    "AddRecords",
    "AttachFunction",
    "CommitFields",
    "ConditionalCommit",
    "ConditionalGet",
    "ConditionalQuery",
    "ConditionalSearch",
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
    "JointCommit",
    "Operation",
    "QueryRecords",
    "ReadQuery",
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

_MODULES = {
    "AddRecords": "records",
    "AttachFunction": "search",
    "CommitFields": "transactions",
    "ConditionalCommit": "transactions",
    "ConditionalGet": "transactions",
    "ConditionalQuery": "transactions",
    "ConditionalSearch": "transactions",
    "JointCommit": "transactions",
    "Configuration": "configuration",
    "CountRecords": "records",
    "CreateCollection": "collections",
    "CreateDatabase": "tenants",
    "CreateKey": "keys",
    "CreateTenant": "tenants",
    "DeleteOperation": "transactions",
    "DeleteRecords": "records",
    "DetachFunction": "search",
    "DistinctValues": "records",
    "EmbedTexts": "embed",
    "EmbeddingFunction": "configuration",
    "Filters": "records",
    "ForkCollection": "collections",
    "GetRecords": "records",
    "Operation": "transactions",
    "QueryRecords": "records",
    "ReadQuery": "transactions",
    "Schema": "schema",
    "Search": "search",
    "SearchLimit": "search",
    "SearchRecords": "search",
    "UpdateCollection": "collections",
    "UpdateConfiguration": "configuration",
    "UpdateRecords": "records",
    "UpdateTenant": "tenants",
    "UpsertRecords": "records",
    "ValueRange": "records",
}


def __getattr__(name: str) -> Any:
    """The schema of this name, once; then it is an attribute."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    schema = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = schema
    return schema
