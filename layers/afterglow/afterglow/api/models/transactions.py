"""Bodies of transactions."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from afterglow.api.models.fields import U32, IncludeName, StrictModel, Where
from afterglow.api.models.records import AddRecords, DeleteRecords, Filters, UpdateRecords, UpsertRecords

ReadToken = Annotated[int, Field(ge=0, le=2**64 - 1)]


class ConditionalGet(Filters):
    """A read of a transaction; `read_token` is that of its first read, null in the first."""

    model_config = ConfigDict(json_schema_extra={"example": {"ids": ["a"], "read_token": None}})

    limit: U32 | None = None
    offset: U32 | None = None
    include: list[IncludeName] = Field(default=["documents", "metadatas"])
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


class ConditionalCommit(StrictModel):
    """The operations of a transaction, and what it has read.

    `read_filters` and `nonce` are Afterglow's own. With the `nonce` of an earlier commit of the same transaction, whose
    answer was lost, that answer is repeated.
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

    read_token: ReadToken | None = None
    read_ids: list[str] = Field(default=[])
    operations: list[Operation]
    read_filters: list[ReadFilter] = Field(default=[])
    nonce: str | None = None
