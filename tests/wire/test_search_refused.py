"""Searches over the wire: every refusal, and what is just not refused."""

from typing import Any

import pytest

from tests.wire.clients import ApiClient, CollectionClient, assert_error, assert_invalid_body
from tests.wire.search_requests import NEAR, scores_of, send_request


def test_a_sparse_query_needs_an_index(letters: CollectionClient) -> None:
    response = letters.post(
        "search", searches=[{"rank": {"$knn": {"query": {"indices": [1], "values": [1]}, "key": "n"}}}]
    )
    text = "Cannot filter using metadata key 'n' with type 'SparseVector' because indexing is disabled"
    assert_error(response, 400, text)


def test_a_filter_needs_an_index(api_client: ApiClient) -> None:
    off = {"string": {"string_inverted_index": {"enabled": False, "config": {}}}}
    collection = api_client.collection(schema={"defaults": {}, "keys": {"kind": off}})
    response = collection.post("search", searches=[{"filter": {"kind": "x"}}])
    assert_error(response, 400, "Cannot filter using metadata key 'kind' with type 'Str' because indexing is disabled")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"a": 1}, "missing field `searches`"),
        ({"searches": {}}, "searches: invalid type: map, expected a sequence"),
        ({"searches": [1]}, "searches[0]: invalid type: integer `1`, expected a map"),
        (
            {"searches": [], "read_level": "x"},
            "read_level: unknown variant `x`, expected one of `index_and_wal`, `index_only`, `index_and_bounded_wal`",
        ),
        ({"searches": [{"limit": 3}]}, "searches[0].limit: invalid type: integer `3`, expected a map"),
        (
            {"searches": [{"limit": {"limit": -1}}]},
            "searches[0].limit.limit: invalid value: integer `-1`, expected at least 0",
        ),
        (
            {"searches": [{"select": {"keys": "a"}}]},
            'searches[0].select.keys: invalid type: string "a", expected a sequence',
        ),
        ({"searches": [{}, {"filter": {"a": {"$b": 1}}}]}, "searches[1].filter: Invalid where clause"),
        ({"searches": [{"filter": 3}]}, "searches[0].filter: Invalid where clause"),
        ({"searches": [{"rank": []}]}, "searches[0].rank: invalid type: sequence, expected a map"),
        (
            {"searches": [{"rank": {"$knn": {}}}]},
            "searches[0].rank.$knn: missing field `query`",
        ),
        (
            {"searches": [{"rank": {"$knn": {"query": True}}}]},
            "searches[0].rank.$knn.query: data did not match any variant of untagged enum QueryVector",
        ),
        (
            {"searches": [{"rank": {"$knn": {"query": {"indices": [-1], "values": [1]}}}}]},
            "searches[0].rank.$knn.query: data did not match any variant of untagged enum QueryVector",
        ),
        (
            {"searches": [{"rank": {"$abs": {"$knn": {"query": [1], "limit": -1}}}}]},
            "searches[0].rank.$abs.$knn.limit: invalid type: integer `-1`, expected u32",
        ),
        (
            {"searches": [{"rank": {"$sum": [{"$val": 1}, {"$val": None}]}}]},
            "searches[0].rank.$sum[1].$val: invalid type: null, expected f32",
        ),
        ({"searches": [{"rank": {"$div": {"left": {"$val": 1}}}}]}, "searches[0].rank.$div: missing field `right`"),
        (
            {"searches": [{"rank": {"$val": 1, "$sum": []}}]},
            (
                "searches[0].rank: expected a map with a single key, expected one of "
                "`$abs`, `$div`, `$exp`, `$knn`, `$log`, `$max`, `$min`, `$mul`, `$rerank`, `$sub`, `$sum`, `$val`"
            ),
        ),
        (
            {"searches": [{"rank": {"$x": 1}}]},
            (
                "searches[0].rank: unknown variant `$x`, expected one of "
                "`$abs`, `$div`, `$exp`, `$knn`, `$log`, `$max`, `$min`, `$mul`, `$rerank`, `$sub`, `$sum`, `$val`"
            ),
        ),
        (
            {"searches": [{"group_by": {"keys": ["a"], "aggregate": {"$avg": 1}}}]},
            "searches[0].group_by.aggregate.$avg: unknown field `$avg`",
        ),
        (
            {"searches": [{"group_by": {"keys": ["a"], "aggregate": {}}}]},
            "searches[0].group_by.aggregate: expected a map with a single key, `$min_k` or `$max_k`",
        ),
        (
            {"searches": [{"group_by": {"aggregate": {"$min_k": {"keys": ["a"]}}}}]},
            "searches[0].group_by.aggregate.$min_k: missing field `k`",
        ),
    ],
    ids=repr,
)
def test_wrong_shapes(collection: CollectionClient, body: dict[str, Any], text: str) -> None:
    assert_invalid_body(collection.post("search", **body), text)


def deep(levels: int) -> dict[str, Any]:
    rank: dict[str, Any] = NEAR
    for _ in range(levels - 1):
        rank = {"$abs": rank}
    return rank


WRONG_GROUPS = [
    ({"keys": ["a"]}, "group_by keys and aggregate must both be specified or both be omitted"),
    (
        {"aggregate": {"$min_k": {"keys": ["b"], "k": 1}}},
        "group_by keys and aggregate must both be specified or both be omitted",
    ),
    (
        {"keys": ["#score"], "aggregate": {"$min_k": {"keys": ["b"], "k": 1}}},
        "group_by keys must be metadata fields (cannot use #score, #document, #embedding, or #metadata)",
    ),
    ({"keys": ["a"], "aggregate": {"$max_k": {"keys": [], "k": 1}}}, "aggregate keys must not be empty"),
    ({"keys": ["a"], "aggregate": {"$max_k": {"keys": ["b"], "k": 0}}}, "aggregate k must be greater than 0"),
    (
        {"keys": ["a"], "aggregate": {"$max_k": {"keys": ["#document"], "k": 1}}},
        "aggregate keys must be metadata fields or #score (cannot use #document, #embedding, or #metadata)",
    ),
]


@pytest.mark.parametrize(("groups", "text"), WRONG_GROUPS, ids=repr)
def test_wrong_groups(collection: CollectionClient, groups: dict[str, Any], text: str) -> None:
    response = collection.post("search", searches=[{}, {"rank": NEAR, "group_by": groups}])
    assert_error(response, 400, f"Validation error: searches[1].group_by: {text}")


def test_groups_need_a_rank(collection: CollectionClient) -> None:
    grouped = {"keys": ["a"], "aggregate": {"$min_k": {"keys": ["b"], "k": 1}}}
    response = collection.post("search", searches=[{"group_by": grouped}])
    text = "Validation error: searches[0].group_by: group_by requires rank expression to be specified"
    assert_error(response, 400, text)


@pytest.mark.parametrize(
    ("rank", "text"),
    [
        ({"$val": 1e39}, "numbers must be finite float32"),
        ({"$knn": {"query": [1], "default": -1e39}}, "numbers must be finite float32"),
        ({"$knn": {"query": [1], "key": "words"}}, "a dense query searches #embedding, not 'words'"),
        (
            {"$knn": {"query": {"indices": [1], "values": [1]}}},
            "a sparse query searches a metadata key, not '#embedding'",
        ),
        (
            {"$knn": {"query": {"indices": [2, 1], "values": [1, 1]}, "key": "w"}},
            "Invalid sparse vector in KNN query: indices must be strictly ascending",
        ),
        (
            {"$knn": {"query": {"indices": [1], "values": [1, 1]}, "key": "w"}},
            "Invalid sparse vector in KNN query: 1 indices, but 2 values",
        ),
        (
            {"$knn": {"query": {"indices": [1], "values": [1e39]}, "key": "w"}},
            "Invalid sparse vector in KNN query: values must be finite float32",
        ),
        ({"$sum": [NEAR] * 257}, "a request may have 256 $knn in all"),
        (
            deep(65),
            "a rank expression may be nested 64 deep, and a request may have 4096 operators in all",
        ),
        (
            {"$sum": [{"$val": 1}] * 4096},
            "a rank expression may be nested 64 deep, and a request may have 4096 operators in all",
        ),
    ],
    ids=lambda item: repr(item)[:60],
)
def test_wrong_ranks(collection: CollectionClient, rank: Any, text: str) -> None:
    searches = [{}, {"rank": rank}]
    assert_error(collection.post("search", searches=searches), 400, f"Validation error: searches[1].rank: {text}")


def test_what_is_just_not_too_much(letters: CollectionClient) -> None:
    assert scores_of(letters, deep(64)) == {"a": 0, "b": 1, "c": 4}
    assert list(scores_of(letters, {"$sum": [NEAR, *[{"$val": 1}] * 4094]})) == ["a", "b", "c"]
    assert len(send_request(letters, *[{}] * 256)["ids"]) == 256
    text = "Validation error: searches: a request may have 256 searches, got 257"
    assert_error(letters.post("search", searches=[{}] * 257), 400, text)


def test_dimensions(letters: CollectionClient, collection: CollectionClient) -> None:
    text = "Collection expecting embedding with dimension of 2, got {}"
    for query in ([], [1], [1, 2, 3]):
        response = letters.post("search", searches=[{"rank": {"$knn": {"query": query}}}])
        assert_error(response, 400, text.format(len(query)))
    assert send_request(collection, {"rank": {"$knn": {"query": [1, 2, 3]}}})["ids"] == [[]]


def test_a_collection_that_is_not_there_comes_before_wrong_values(
    api_client: ApiClient, collection: CollectionClient
) -> None:
    created = {**collection.created, "id": "00000000-0000-0000-0000-00000000abcd"}
    gone = CollectionClient(api_client, collection.database, created)
    text = "Collection [00000000-0000-0000-0000-00000000abcd] does not exist."
    assert_error(gone.post("search", searches=[{"rank": {"$val": 1e39}}]), 404, text)
    assert_error(gone.post("search", searches=[{}]), 404, text)
    assert_invalid_body(
        gone.post("search", searches=[{"rank": 1}]), "searches[0].rank: invalid type: integer `1`, expected a map"
    )
