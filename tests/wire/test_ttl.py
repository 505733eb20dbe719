"""Records that expire, over the wire: `afterglow:ttl_key` in a collection's metadata."""

import time
from typing import Any

import pytest

from tests.wire.clients import ApiClient, assert_error

TTL = "afterglow:ttl_key"
LONG_AGO, LATER = 1_000_000_000, 4_000_000_000
WHY = (
    f"Validation error: metadata: {TTL} must name a metadata key, which is not empty and does not start with '#' or '$'"
)


def test_what_has_expired_is_nowhere(api_client: ApiClient) -> None:
    collection = api_client.collection(metadata={TTL: "until"})
    untils: list[Any] = [LONG_AGO, LATER, None, time.time() - 1, "now", LONG_AGO]
    metadatas = [None if item is None else {"until": item, "n": 1} for item in untils]
    collection.add(
        ids=list("abcdef"),
        embeddings=[[number, 1] for number in range(6)],
        documents=list("abcdef"),
        metadatas=metadatas,
    )
    assert collection.records()["ids"] == ["b", "c", "e"]
    assert collection.post("get", ids=["a", "b"]).json()["ids"] == ["b"]
    assert collection.get("count").json() == 3
    assert collection.get("count?read_level=index_only").json() in {0, 3}
    assert collection.post("query", query_embeddings=[[0, 1]]).json()["ids"] == [["b", "c", "e"]]
    assert collection.post("query", query_embeddings=[[0, 1]], where={"n": 1}).json()["ids"] == [["b", "e"]]
    assert collection.post("query", query_embeddings=[[0, 1]], ids=["a", "b"]).json()["ids"] == [["b"]]
    searched = collection.post("search", searches=[{"rank": {"$knn": {"query": [0, 1]}}}, {"filter": {"n": 1}}])
    assert searched.json()["ids"] == [["b", "c", "e"], ["b", "e"]]
    assert collection.post("delete", where={"n": 1}, limit=9).json() == {"deleted": 2}


def test_an_expired_record_can_be_added_anew_but_not_updated(api_client: ApiClient) -> None:
    collection = api_client.collection(metadata={TTL: "until"})
    collection.add(ids=["a", "b"], embeddings=[[1], [1]], documents=["old", "old"], metadatas=[{"until": LONG_AGO}] * 2)
    assert collection.post("update", ids=["a"], metadatas=[{"until": LATER}]).status_code == 200
    assert collection.records()["ids"] == []
    collection.add(ids=["a"], embeddings=[[2]], metadatas=[{"until": LATER}])
    assert collection.post("upsert", ids=["b"], embeddings=[[2]], metadatas=[{"n": 1}]).status_code == 200
    result = collection.records()
    assert (result["ids"], result["documents"]) == (["a", "b"], [None, None])
    assert result["metadatas"] == [{"until": LATER}, {"n": 1}]


@pytest.mark.parametrize("key", ["", "#document", "$or", 1, ["until"]])
def test_what_is_no_key_is_refused(api_client: ApiClient, key: Any) -> None:
    response = api_client.request(
        "POST",
        "/api/v2/tenants/default_tenant/databases/default_database/collections",
        {"name": "refused", "metadata": {TTL: key}},
    )
    assert_error(response, 400, f"{WHY}. Got: {key!r}")
    collection = api_client.collection(metadata={TTL: "until"})
    response = api_client.request("PUT", collection.path, {"new_metadata": {TTL: key}})
    assert_error(response, 400, f"{WHY}. Got: {key!r}")


def test_the_key_can_be_given_later_and_taken_away(api_client: ApiClient) -> None:
    collection = api_client.collection()
    collection.add(ids=["a", "b"], embeddings=[[1], [1]], metadatas=[{"until": LONG_AGO}, None])
    for metadata, ids in (({TTL: "until"}, ["b"]), ({"x": 1}, ["a", "b"])):
        assert api_client.request("PUT", collection.path, {"new_metadata": metadata}).status_code == 200
        assert collection.records()["ids"] == ids
