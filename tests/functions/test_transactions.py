"""Transactions over the function of the API: what Chroma's clients send, and our commit of several collections."""

import json
import posixpath
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest

from tests.functions.loading import Context, event
from tests.functions.test_api import answer
from tests.wire.client_transactions import CLIENTS, CONFLICT, ClientTransaction

VECTOR = [0.1, 0.2, 0.3, 0.4]
Call = Callable[[str, bytes, Mapping[str, str]], tuple[int, Any]]


def caller(function: ModuleType, collection: str) -> Call:
    """Calls routes of a collection."""

    def call(route: str, content: bytes, headers: Mapping[str, str]) -> tuple[int, Any]:
        sent = event("api-get", collection)
        path = posixpath.normpath(sent["rawPath"].removesuffix("/get") + f"/{route}")
        http = {**sent["requestContext"]["http"], "path": path}
        context = {**sent["requestContext"], "http": http}
        request = {
            **sent,
            "rawPath": path,
            "requestContext": context,
            "body": content.decode(),
            "isBase64Encoded": False,
        }
        got = function.handler({**request, "headers": {**sent["headers"], **headers}}, Context())
        return got["statusCode"], json.loads(got["body"])

    return call


@pytest.mark.parametrize("client", CLIENTS)
def test_what_chromas_clients_send(function: ModuleType, client: str) -> None:
    call = caller(function, answer(function, event("api-create-collection"))["id"])
    first, second = (ClientTransaction(CLIENTS[client], call) for _ in range(2))
    for transaction in (first, second):
        assert transaction.get(["a"])["ids"] == []
        assert transaction.get(where={"n": 1}, limit=5)["ids"] == []
        transaction.write("add", ["a"], embeddings=[VECTOR], metadatas=[{"n": 1}])
        transaction.write("upsert", ["b"], embeddings=[VECTOR])
    assert first.commit() == 2
    assert second.send_commit() == (409, CONFLICT)
    third = ClientTransaction(CLIENTS[client], call)
    assert third.get(["a", "b"])["metadatas"] == [{"n": 1}, None]
    third.write("update", ["a"], metadatas=[{"n": 2}])
    third.write("delete", ["b"])
    assert third.commit() == 2
    assert call("get", b"{}", {})[1]["metadatas"] == [{"n": 2}]


def test_a_commit_of_two_collections(function: ModuleType) -> None:
    ids = [answer(function, event("api-create-collection"))["id"]]
    created = event("api-create-collection")
    ids.append(answer(function, {**created, "body": json.dumps({"name": "another"})})["id"])
    calls = [caller(function, one) for one in ids]
    operation = {"operation": "add", "payload": {"ids": ["a"], "embeddings": [VECTOR]}}
    parts = [{"collection_id": one, "read_token": 1, "read_ids": ["a"], "operations": [operation]} for one in ids]
    body = json.dumps({"collections": parts, "nonce": "n" * 20}).encode()
    results = [{"collection_id": one, "first_inserted_record_offset": 1, "record_count": 1} for one in ids]
    for _ in range(2):  # the second is recognised
        assert calls[0]("../../conditional/commit", body, {}) == (200, {"collections": results})
    assert calls[0]("../../conditional/commit", json.dumps({"collections": parts}).encode(), {}) == (409, CONFLICT)
    assert [call("get", b"{}", {})[1]["ids"] for call in calls] == [["a"], ["a"]]
