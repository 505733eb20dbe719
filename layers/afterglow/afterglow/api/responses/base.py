"""What all schemas of responses share."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, WithJsonSchema

Metadata = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "additionalProperties": True, "example": {"page": 1, "tags": ["a", "b"]}}),
]


class ResponseModel(BaseModel):
    """A JSON object."""

    model_config = ConfigDict(defer_build=True)


class EmptyResponse(ResponseModel):
    """An empty object: success."""


class ErrorResponse(ResponseModel):
    """Chroma's name of the error, and a message for a person."""

    error: Literal[
        "InvalidArgumentError",
        "NotFoundError",
        "InternalError",
        "ChromaError",
        "AuthError",
        "Backoff",
        "ConditionalWriteConflictError",
        "StaleReadError",
        "InvalidCollection",
        "InvalidDimension",
        "InvalidUUID",
        "UniqueConstraintError",
    ]
    message: str
