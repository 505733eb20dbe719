"""The schemas of responses, for the OpenAPI document. Handlers encode the bytes themselves."""

from afterglow.api.responses.base import EmptyResponse, ErrorResponse, Metadata, ResponseModel
from afterglow.api.responses.collections import (
    Collection,
    CollectionConfiguration,
    Database,
    ForkCount,
    IndexConfiguration,
    IndexingStatus,
    Tenant,
)
from afterglow.api.responses.explanation import (
    ExplainedGroup,
    ExplainedNeighbors,
    ExplainedRerank,
    ExplainedSearch,
    Explanation,
)
from afterglow.api.responses.functions import (
    AttachedFunction,
    AttachedFunctionResponse,
    FunctionAttachment,
    FunctionDetachment,
    FunctionSummary,
)
from afterglow.api.responses.imports import Import, RejectedRow
from afterglow.api.responses.keys import CreatedKey, Key
from afterglow.api.responses.records import (
    DeleteResponse,
    DistinctResponse,
    ErasureReport,
    GetResponse,
    MinMaxResponse,
    QueryResponse,
    SearchResponse,
    ValueCount,
)
from afterglow.api.responses.system import Health, Heartbeat, Identity, PreFlight, Readiness, Ready
from afterglow.api.responses.transactions import (
    Change,
    ChangedRecords,
    CollectionCommitResponse,
    ConditionalCommitResponse,
    ConditionalGetResponse,
    ConditionalQueryResponse,
    ConditionalSearchResponse,
    JointCommitResponse,
)

__all__ = [
    "AttachedFunction",
    "AttachedFunctionResponse",
    "Change",
    "ChangedRecords",
    "Collection",
    "CollectionCommitResponse",
    "CollectionConfiguration",
    "ConditionalCommitResponse",
    "ConditionalGetResponse",
    "ConditionalQueryResponse",
    "ConditionalSearchResponse",
    "CreatedKey",
    "Database",
    "DeleteResponse",
    "DistinctResponse",
    "EmptyResponse",
    "ErasureReport",
    "ErrorResponse",
    "ExplainedGroup",
    "ExplainedNeighbors",
    "ExplainedRerank",
    "ExplainedSearch",
    "Explanation",
    "ForkCount",
    "FunctionAttachment",
    "FunctionDetachment",
    "FunctionSummary",
    "GetResponse",
    "Health",
    "Heartbeat",
    "Identity",
    "Import",
    "IndexConfiguration",
    "IndexingStatus",
    "JointCommitResponse",
    "Key",
    "Metadata",
    "MinMaxResponse",
    "PreFlight",
    "QueryResponse",
    "Readiness",
    "Ready",
    "RejectedRow",
    "ResponseModel",
    "SearchResponse",
    "Tenant",
    "ValueCount",
]
