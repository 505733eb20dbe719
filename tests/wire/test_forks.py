"""Forks and the past, as a client sees them."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.wire.clients import ApiClient, CollectionClient, assert_error, assert_invalid_body

POSITION = "afterglow-log-position"


def forked(collection: CollectionClient, name: str, query: str = "") -> CollectionClient:
    response = collection.api_client.request("POST", f"{collection.path}/fork{query}", {"new_name": name})
    assert response.status_code == 200, response.text
    return CollectionClient(collection.api_client, collection.database, response.json())


def ids(collection: CollectionClient, query: str = "") -> list[str]:
    response = collection.api_client.request("POST", f"{collection.path}/get{query}", {})
    assert response.status_code == 200, response.text
    result: list[str] = response.json()["ids"]
    return result


def test_both_sides_of_a_fork_change_independently(api_client: ApiClient) -> None:
    source = api_client.collection(metadata={"about": "it"}, configuration={"hnsw": {"space": "cosine"}})
    source.add(ids=["a", "b"], embeddings=[[1, 0], [0, 1]], metadatas=[{"n": 1}, {"n": 2}])
    fork = forked(source, source.created["name"] + "-fork")
    assert fork.created["id"] != source.created["id"]
    assert {**fork.created, "id": 0, "name": 0} == {**source.now(), "id": 0, "name": 0}
    source.add(ids=["c"], embeddings=[[1, 1]])
    assert fork.post("delete", ids=["a"]).status_code == 200
    assert (ids(source), ids(fork)) == (["a", "b", "c"], ["b"])
    assert fork.post("query", query_embeddings=[[1, 0]]).json()["ids"] == [["b"]]
    second = forked(fork, source.created["name"] + "-second")
    assert ids(second) == ["b"]
    counts = [item.get("fork_count").json() for item in (source, fork, second)]
    assert counts == [{"count": 2}] * 3
    assert api_client.request("DELETE", f"{fork.database}/collections/{fork.created['name']}").status_code == 200
    assert second.get("fork_count").json() == {"count": 1}
    assert ids(second) == ["b"]


def test_a_fork_of_nothing(api_client: ApiClient) -> None:
    source = api_client.collection()
    assert source.get("fork_count").json() == {"count": 0}
    fork = forked(source, source.created["name"] + "-fork")
    assert ids(fork) == []
    assert fork.created["dimension"] is None


def test_what_a_fork_is_refused_for(collection: CollectionClient) -> None:
    taken = collection.created["name"]
    assert_error(collection.post("fork", new_name=taken), 409, f"Collection [{taken}] already exists")
    assert_invalid_body(collection.post("fork", a=1), "missing field `new_name`")
    assert collection.post("fork", new_name="x").status_code == 400
    assert collection.get("fork_count").json() == {"count": 0}


def test_reads_of_the_past(collection: CollectionClient) -> None:
    fixture = {"ids": ["a"], "embeddings": [[1, 0]], "documents": ["first"]}
    first = collection.post("add", **fixture).headers[POSITION]
    time.sleep(0.01)
    between = datetime.now(UTC)
    time.sleep(0.01)
    collection.post("upsert", ids=["a", "b"], embeddings=[[0, 1], [1, 1]], documents=["second", "other"])
    api_client, path = collection.api_client, collection.path
    for at in (first, between.isoformat(), between.isoformat().replace("+00:00", "Z"), between.isoformat()[:-6]):
        got = api_client.http.request("POST", f"{path}/get", params={"at": at}, json={})
        assert (got.json()["documents"], got.headers[POSITION]) == (["first"], first)
        query = api_client.http.request("POST", f"{path}/query", params={"at": at}, json={"query_embeddings": [[0, 1]]})
        assert query.json()["distances"] == [[2.0]]
        assert api_client.http.get(f"{path}/count", params={"at": at}).json() == 1
        searched = api_client.http.request(
            "POST", f"{path}/search", params={"at": at}, json={"searches": [{"select": {"keys": ["#document"]}}]}
        )
        assert searched.json()["documents"] == [["first"]]
    assert ids(collection, "?at=0") == []
    assert ids(collection, "?at=2") == ["a", "b"]
    as_it_was = forked(collection, collection.created["name"] + "-then", f"?at={first}")
    assert as_it_was.post("get").json()["documents"] == ["first"]


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ("yesterday", "neither a time like 2026-01-31T12:00:00Z nor a log position"),
        ("", "neither a time"),
        ("-1", "neither a time"),
        ("9999-01-01", "in the future"),
        ("1999-01-01T00:00:00+01:00", "before collection"),
        ("7", "the log ends at 1"),
        ("9" * 30, "neither a time"),
    ],
)
def test_moments_that_are_not_to_be_had(collection: CollectionClient, at: str, says: str) -> None:
    collection.add(ids=["a"], embeddings=[[1, 0]])
    requests: list[tuple[str, str, Any]] = [
        ("POST", "get", {}),
        ("POST", "query", {"query_embeddings": [[1, 0]]}),
        ("GET", "count", None),
        ("POST", "search", {"searches": [{}]}),
        ("POST", "fork", {"new_name": "never-made"}),
    ]
    for method, operation, body in requests:
        response = collection.api_client.http.request(
            method, f"{collection.path}/{operation}", params={"at": at}, json=body
        )
        assert response.status_code == 400, (operation, response.text)
        assert says in response.json()["message"]


def test_a_fork_has_no_past_before_itself(collection: CollectionClient) -> None:
    collection.add(ids=["a"], embeddings=[[1, 0]]).add(ids=["b"], embeddings=[[1, 0]])
    fork = forked(collection, collection.created["name"] + "-fork")
    assert ids(fork, "?at=2") == ["a", "b"]
    early = (datetime.now(UTC) - timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
    for at in ("1", early):
        response = fork.api_client.http.request("POST", f"{fork.path}/get", params={"at": at}, json={})
        assert response.status_code == 400, response.text
