"""Bodies of searches. `rank` and its vectors are `Any` here; `validation.rank_parser` validates them."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from afterglow.api.models.fields import EXPLAIN, U32, RequestModel, StrictModel, Where

_RANK: dict[str, Any] = {"type": "object", "description": "a rank expression"}
_RANKS: dict[str, Any] = {"type": "array", "items": _RANK}
_PAIR: dict[str, Any] = {
    "type": "object",
    "properties": {"left": _RANK, "right": _RANK},
    "required": ["left", "right"],
}
_FLOATS: dict[str, Any] = {"type": "array", "items": {"type": "number", "format": "float"}}
_SPARSE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "#type": {"type": "string", "const": "sparse_vector"},
        "indices": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}},
        "values": _FLOATS,
    },
    "required": ["indices", "values"],
}
_DEFAULT = {
    "anyOf": [{"type": "number", "format": "float"}, {"type": "null"}],
    "description": "the score of all other records; if absent, they are excluded",
}
_KNN: dict[str, Any] = {
    "type": "object",
    "properties": {
        "query": {
            "anyOf": [_FLOATS, _SPARSE, {"type": "string"}],
            "description": "a vector, or a text, which the server embeds or, for a BM25 index, splits into words",
        },
        "key": {
            "type": "string",
            "default": "#embedding",
            "description": "`#embedding`, or a metadata key with a sparse index",
        },
        "limit": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1, "default": 16},
        "default": _DEFAULT,
        "return_rank": {
            "type": "boolean",
            "default": False,
            "description": "0, 1, 2, … instead of distances",
        },
    },
    "required": ["query"],
}
_RERANK: dict[str, Any] = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "the text that documents are compared with"},
        "rank": _RANK,
        "limit": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1, "default": 32},
        "default": _DEFAULT,
        "return_rank": {"type": "boolean", "default": False, "description": "0, 1, 2, … instead of scores"},
    },
    "required": ["query", "rank"],
    "description": "a cross-encoder's scores of the first `limit` records of an expression, negated",
}
_OPERATORS: dict[str, dict[str, Any]] = {
    "$val": {"type": "number", "format": "float"},
    "$knn": _KNN,
    "$rerank": _RERANK,
    **dict.fromkeys(("$sum", "$mul", "$max", "$min"), _RANKS),
    **dict.fromkeys(("$sub", "$div"), _PAIR),
    **dict.fromkeys(("$abs", "$exp", "$log"), _RANK),
}
_ONE_OPERATOR = {
    "anyOf": [
        *(
            {"type": "object", "properties": {name: operand}, "required": [name], "additionalProperties": False}
            for name, operand in _OPERATORS.items()
        ),
        {"type": "object", "maxProperties": 0},
        {"type": "null"},
    ],
    "description": "one operator and its operands; ascending scores, smallest first",
}
RankExpression = Annotated[Any, WithJsonSchema(_ONE_OPERATOR)]


MAX_SEARCHES = 4_096
"""Searches that are parsed at all; fewer are run (`v2.search`)."""


class SearchLimit(RequestModel):
    """The page of hits to return."""

    offset: U32 = 0
    limit: U32 | None = None


class SearchSelect(RequestModel):
    """The fields to return: `#document`, `#embedding`, `#metadata`, `#score`, or single metadata keys."""

    keys: list[str] = Field(default=[])


class SearchTopK(RequestModel):
    """The first `k` hits by these metadata keys or `#score`."""

    keys: list[str]
    k: U32


class SearchAggregate(StrictModel):
    """The hits to return from each group: those with the smallest or the largest values."""

    min_k: SearchTopK | None = Field(default=None, alias="$min_k")
    max_k: SearchTopK | None = Field(default=None, alias="$max_k")


class SearchGroups(RequestModel):
    """Groups of hits by metadata keys. Requires both fields or neither."""

    keys: list[str] = Field(default=[])
    aggregate: SearchAggregate | None = None


class Search(StrictModel):
    """One search; without `rank`, records are in insertion order."""

    filter: Where = Field(default=None, description="a `where` clause, which may also contain `#document` and `#id`")
    rank: RankExpression = None
    group_by: SearchGroups | None = None
    limit: SearchLimit | None = None
    select: SearchSelect | None = None


class SearchRecords(StrictModel):
    """Several searches over one snapshot of the collection."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "searches": [
                    {
                        "filter": {"page": {"$gte": 1}},
                        "rank": {"$knn": {"query": [0.1, 0.9], "limit": 10}},
                        "limit": {"limit": 3},
                        "select": {"keys": ["#document", "#score"]},
                    }
                ]
            }
        }
    )

    searches: list[Search] = Field(max_length=MAX_SEARCHES)
    read_level: Literal["index_and_wal", "index_only", "index_and_bounded_wal"] = "index_and_wal"
    explain: bool = Field(default=False, description=EXPLAIN)


class AttachFunction(RequestModel):
    """A function to attach, and the name of the collection to create.

    `function_id` is `record_counter`, `statistics` or `revision_history`.
    """

    name: str
    function_id: str
    output_collection: str
    params: Any = None


class DetachFunction(RequestModel):
    """Whether to delete the output collection, too."""

    delete_output: bool = False
