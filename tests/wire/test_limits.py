"""Bodies that are too large, too slow, or never whole."""

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.wire.clients import API, ApiClient, CollectionClient, assert_error

LIMIT = 1_000_000
"""What the fixture's settings say."""


def add_request(collection: CollectionClient, headers: str) -> bytes:
    first = f"POST {collection.path}/add HTTP/1.1\r\nHost: x\r\n"
    return f"{first}Content-Type: application/json\r\n{headers}\r\n\r\n".encode()


def connected(api_client: ApiClient) -> socket.socket:
    return socket.create_connection((api_client.http.base_url.host, api_client.http.base_url.port or 80), timeout=20)


def answer_of(connection: socket.socket) -> tuple[int, bytes]:
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return int(received[9:12]), received


def body_of(size: int) -> bytes:
    frame = json.dumps({"ids": ["a"], "embeddings": [[1]], "documents": [""]}).encode()
    return frame[:-3] + b"x" * (size - len(frame)) + frame[-3:]


def too_large(response: httpx.Response, text: str) -> None:
    advice = "send fewer records per request (max_batch_size is 5461); embeddings are smaller in base64"
    assert_error(response, 413, f"Payload too large: the body has {text}, at most {LIMIT} are accepted; {advice}")
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("times", [1.001, 3, 9])
def test_a_declared_body_over_the_limit(collection: CollectionClient, times: float) -> None:
    size = int(LIMIT * times)
    try:
        response = collection.raw("add", body_of(size))
    except httpx.WriteError:
        # Far over the limit the server does not wait for the end.
        assert times > 8
    else:
        too_large(response, f"{size} bytes")
    assert collection.get("count").json() == 0


def test_a_chunked_body_over_the_limit(collection: CollectionClient) -> None:
    def pieces() -> Iterator[bytes]:
        whole = body_of(3 * LIMIT)
        for start in range(0, len(whole), 100_000):
            yield whole[start : start + 100_000]

    response = collection.api_client.request("POST", collection.path + "/add", content=pieces())
    too_large(response, f"more than {LIMIT} bytes")
    assert collection.get("count").json() == 0


def test_a_body_of_just_the_limit(collection: CollectionClient) -> None:
    assert collection.raw("add", body_of(LIMIT)).status_code == 201
    assert len(collection.records("documents")["documents"][0]) > LIMIT - 100


def test_a_client_that_asks_first(collection: CollectionClient) -> None:
    with connected(collection.api_client) as connection:
        connection.sendall(add_request(collection, "Content-Length: 2000000\r\nExpect: 100-continue"))
        status, received = answer_of(connection)
    assert status == 413
    assert b"100 Continue" not in received


def test_a_body_that_stalls(collection: CollectionClient) -> None:
    with connected(collection.api_client) as connection:
        began = time.monotonic()
        connection.sendall(add_request(collection, "Content-Length: 100") + b'{"ids"')
        status, received = answer_of(connection)
    assert status == 408
    assert b'"error":"ChromaError"' in received
    assert b"chroma-trace-id" in received
    assert 0.5 < time.monotonic() - began < 10


def test_a_client_that_leaves(collection: CollectionClient, caplog: pytest.LogCaptureFixture) -> None:
    with connected(collection.api_client) as connection:
        connection.sendall(add_request(collection, "Content-Length: 100") + b'{"ids"')
        time.sleep(0.1)
    time.sleep(0.1)
    assert collection.get("count").json() == 0
    assert not [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]


def test_requests_in_one_packet_are_answered_in_turn(api_client: ApiClient) -> None:
    fixture = f"GET {API}/version HTTP/1.1\r\nHost: x\r\n".encode()
    with connected(api_client) as connection:
        connection.sendall(fixture + b"\r\n" + fixture + b"Connection: close\r\n\r\n")
        _, received = answer_of(connection)
    assert received.count(b'"1.0.0"') == 2
