"""The header that tells where in the log a write stands, and how far a read has seen."""

from tests.wire.clients import CollectionClient

HEADER = "afterglow-log-position"


def test_writes_tell_their_entry_and_reads_the_last_they_saw(collection: CollectionClient) -> None:
    fixture = {"ids": ["a"], "embeddings": [[1, 2]], "metadatas": [{"n": 1}]}
    for number, operation in enumerate(("add", "upsert", "update"), 1):
        assert collection.post(operation, **fixture).headers[HEADER] == str(number)
    reads = {
        "get": collection.post("get"),
        "query": collection.post("query", query_embeddings=[[1, 2]]),
        "count": collection.get("count"),
    }
    assert {name: response.headers[HEADER] for name, response in reads.items()} == dict.fromkeys(reads, "3")
    assert collection.post("delete", where={"n": 2}).headers[HEADER] == "3"
    assert collection.post("delete", where={"n": 1}).headers[HEADER] == "4"
    assert collection.post("delete", ids=["a"]).headers[HEADER] == "5"


def test_a_write_of_nothing_has_no_position(collection: CollectionClient) -> None:
    response = collection.post("add", ids=[], embeddings=[])
    assert response.status_code == 201
    assert HEADER not in response.headers


def test_v1_tells_it_too(collection: CollectionClient) -> None:
    path = f"/api/v1/collections/{collection.created['id']}"
    added = collection.api_client.request("POST", path + "/add", {"ids": ["a"], "embeddings": [[1, 2]]})
    assert (added.json(), added.headers[HEADER]) == (True, "1")
    assert collection.api_client.request("POST", path + "/get", {}).headers[HEADER] == "1"
    assert collection.api_client.request("POST", path + "/delete", {"ids": ["a"]}).headers[HEADER] == "2"
