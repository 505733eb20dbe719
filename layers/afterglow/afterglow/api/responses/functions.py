"""Functions attached to a collection."""

from pydantic import Field

from afterglow.api.responses.base import ResponseModel


class FunctionSummary(ResponseModel):
    """An attached function: its own name, and the name of what it computes."""

    id: str = Field(json_schema_extra={"format": "uuid"})
    name: str
    function_name: str


class FunctionAttachment(ResponseModel):
    """The attached function, and whether this request attached it."""

    attached_function: FunctionSummary
    created: bool


class AttachedFunction(FunctionSummary):
    """An attached function. Its output reflects the log up to `completion_offset`; `params` is JSON."""

    input_collection_id: str = Field(json_schema_extra={"format": "uuid"})
    output_collection: str
    output_collection_id: str = Field(json_schema_extra={"format": "uuid"})
    params: str | None
    tenant_id: str
    database_id: str
    completion_offset: int
    min_records_for_invocation: int


class AttachedFunctionResponse(ResponseModel):
    """An attached function."""

    attached_function: AttachedFunction


class FunctionDetachment(ResponseModel):
    """The function was detached."""

    success: bool
