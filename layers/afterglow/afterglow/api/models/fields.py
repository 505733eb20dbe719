"""The field types of bodies, and the two base models."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

U32 = Annotated[int, Field(ge=0, le=2**32 - 1)]
Size = Annotated[int, Field(ge=0, le=2**64 - 1)]
Space = Literal["l2", "cosine", "ip"]
IncludeName = Literal["distances", "documents", "embeddings", "metadatas", "uris"]

_SCALARS: list[dict[str, Any]] = [{"type": name} for name in ("boolean", "integer", "number", "string")]
_ARRAYS: list[dict[str, Any]] = [{"type": "array", "items": scalar} for scalar in _SCALARS]
_SPARSE: dict[str, Any] = {
    "type": "object",
    "description": "a sparse vector: ascending indices, float32 values",
    "properties": {
        "#type": {"type": "string", "const": "sparse_vector"},
        "indices": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}},
        "values": {"type": "array", "items": {"type": "number", "format": "float"}},
        "tokens": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
    },
    "required": ["indices", "values"],
}
_NULL: dict[str, Any] = {"type": "null"}
_FLOATS: dict[str, Any] = {"type": "array", "items": {"type": "number", "format": "float"}}
_BASE64: dict[str, Any] = {"type": "string", "format": "byte", "description": "base64 of little-endian float32"}


def _any_of(*schemas: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": list(schemas)}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(*values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": _any_of(*_SCALARS, *_ARRAYS, *values)}


Metadata = Annotated[Any, WithJsonSchema(_any_of(_object(), _NULL))]
MetadataChanges = Annotated[Any, WithJsonSchema(_any_of(_object(_NULL), _NULL))]
Metadatas = Annotated[Any, WithJsonSchema(_any_of(_array(_any_of(_object(_SPARSE), _NULL)), _NULL))]
MetadatasChanges = Annotated[Any, WithJsonSchema(_any_of(_array(_any_of(_object(_SPARSE, _NULL), _NULL)), _NULL))]
Embeddings = Annotated[
    Any,
    WithJsonSchema(_any_of(_array(_any_of(_FLOATS, _NULL)), _array(_any_of(_BASE64, _NULL)), _NULL)),
]
QueryEmbedding = Annotated[Any, WithJsonSchema(_any_of(_FLOATS, _NULL))]
QueryEmbeddings = Annotated[Any, WithJsonSchema(_any_of(_array(_FLOATS), _NULL))]
EXPLAIN = "also return how the read was executed"
"""The description of the field `explain`."""
Ignored = Annotated[Any, WithJsonSchema({"description": "ignored; older clients send it"})]
Where = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "object"}, _NULL]})]


class RequestModel(BaseModel):
    """A JSON object without type conversion; unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", defer_build=True)


class StrictModel(BaseModel):
    """A JSON object that refuses unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", defer_build=True)
