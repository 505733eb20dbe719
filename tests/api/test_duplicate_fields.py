"""A field that occurs twice in an object of a request is refused, a key of a map is not: as Chroma does."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from afterglow.api import models
from afterglow.api.validation import json_body
from afterglow.api.validation.duplicate_fields import find_duplicate
from afterglow.errors import InvalidBody

REFUSED: list[tuple[type[BaseModel], str, str]] = [
    (models.AddRecords, '{"ids":["a"],"ids":["b"],"embeddings":[[1]]}', "duplicate field `ids`"),
    (models.AddRecords, '{"ids" : ["a"],"embeddings":[[1]],\n"embeddings"\t:[[2]]}', "duplicate field `embeddings`"),
    (models.AddRecords, '{"ids":["a"],"embeddings":[[1]],"i\\u0064s":["x"]}', "duplicate field `ids`"),
    (models.GetRecords, '{"where":{"k":1},"where":{"k":1}}', "duplicate field `where`"),
    (models.GetRecords, '{"limit":1,"limit":2}', "duplicate field `limit`"),
    (models.GetRecords, '{"where":{"limit":1},"limit":1,"limit":2}', "duplicate field `limit`"),
    (models.QueryRecords, '{"query_embeddings":[[1]],"query_embeddings":[[2]]}', "duplicate field `query_embeddings`"),
    (models.DeleteRecords, '{"ids":["a"],"ids":["b"]}', "duplicate field `ids`"),
    (models.CreateCollection, '{"name":"abc","name":"abd"}', "duplicate field `name`"),
    (
        models.CreateCollection,
        '{"name":"abc","configuration":{"hnsw":{"space":"l2","space":"ip"}}}',
        "configuration.hnsw: duplicate field `space`",
    ),
    (
        models.CreateCollection,
        '{"name":"abc","configuration":{"hnsw":{},"hnsw":{}}}',
        "configuration: duplicate field `hnsw`",
    ),
    (
        models.CreateCollection,
        '{"name":"abc","configuration":{"embedding_function":{"type":"known","name":"a","name":"b","config":{}}}}',
        "configuration.embedding_function: duplicate field `name`",
    ),
    (models.CreateCollection, '{"name":"abc","schema":{"defaults":{},"defaults":{},"keys":{}}}', "`defaults`"),
    (models.SearchRecords, '{"searches":[],"searches":[]}', "duplicate field `searches`"),
    (
        models.SearchRecords,
        '{"searches":[{},{"limit":{"limit":1,"limit":2}}]}',
        "searches[1].limit: duplicate field `limit`",
    ),
    (models.SearchRecords, '{"searches":[{"filter":{},"filter":{}}]}', "searches[0]: duplicate field `filter`"),
    (
        models.SearchRecords,
        '{"searches":[{"group_by":{"keys":["a"],"aggregate":{"$min_k":{"keys":["a"],"k":1,"k":2}}}}]}',
        "searches[0].group_by.aggregate.$min_k: duplicate field `k`",
    ),
]
ACCEPTED: list[tuple[type[BaseModel], str]] = [
    (models.CreateCollection, '{"name":"abc","zzz":1,"zzz":2}'),
    (models.AddRecords, '{"ids":["a"],"embeddings":[[1]],"metadatas":[{"k":1,"k":2}]}'),
    (models.AddRecords, '{"ids":["a"],"embeddings":[[1]],"metadatas":[{"ids":1,"ids":2}]}'),
    (models.AddRecords, '{"ids":["ids","\\"ids\\":"],"embeddings":[[1],[2]],"documents":["{\\"ids\\": 1}","\\"ids"]}'),
    (models.GetRecords, '{"where":{"k":1,"k":2}}'),
    (models.GetRecords, '{"where":{"where":{"$gt":0,"$gt":5}}}'),
    (models.CreateCollection, '{"name":"abc","metadata":{"name":1,"name":2}}'),
    (models.CreateCollection, '{"name":"\\u0061bc"}'),
    (
        models.CreateCollection,
        '{"name":"abc","configuration":{"embedding_function":{"type":"known","name":"a","config":{"x":1,"x":2}}}}',
    ),
    (models.SearchRecords, '{"searches":[{"limit":{"limit":1}},{"limit":{"limit":1},"filter":{"a":1,"a":2}}]}'),
    (models.SearchRecords, '{"searches":[{"rank":{"$knn":{"query":[1],"limit":3}},"limit":{"limit":3}}]}'),
    (models.AddRecords, '{"ids":["a"],"embeddings":[[1]],"metadatas":[{"ids":%s}]}' % ("1" * 300)),
]


@pytest.mark.parametrize(("model", "body", "problem"), REFUSED)
def test_a_duplicate_field_is_refused(model: type[BaseModel], body: str, problem: str) -> None:
    with pytest.raises(InvalidBody, match=r"^Failed to deserialize the JSON body into the target type: ") as caught:
        json_body.parse(model, body.encode())
    assert caught.value.message.endswith(problem)


@pytest.mark.parametrize(("model", "body"), ACCEPTED)
def test_other_duplicate_keys_are_accepted(model: type[BaseModel], body: str) -> None:
    json_body.parse(model, body.encode())


strings = st.sampled_from(["ids", "limit", "where", '"ids":', "\\", '\\"', "é\u0001", "", "filter", "a b"]) | st.text()
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=12,
)


@given(
    fields=st.dictionaries(st.sampled_from(["ids", "where", "where_document", "limit", "offset", "x"]), values),
    ascii_only=st.booleans(),
    repeated=st.sampled_from(["ids", "where", "limit", "x", None]),
)
def test_the_fast_check_finds_exactly_the_duplicates(
    fields: dict[str, Any], ascii_only: bool, repeated: str | None
) -> None:
    pairs = [*fields.items(), *([] if repeated is None else [(repeated, None)])]
    text = "{" + ",".join(f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=ascii_only)}" for k, v in pairs) + "}"
    body = text.encode("utf-8", "surrogatepass")
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    expected: object = None if repeated in (None, "x") or repeated not in fields else ([], repeated)
    assert find_duplicate(models.GetRecords, body) == expected
