"""Events to requests and answers to events; over a small application that says what it was asked."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from afterglow.aws_lambda.http import HttpFunction
from afterglow.deadline import seconds_left
from afterglow.errors import InvalidArgument
from afterglow.settings import System

Making = Callable[[ASGIApp], HttpFunction]


@pytest.fixture
def function() -> Iterator[Making]:
    made: list[HttpFunction] = []

    def make(app: ASGIApp) -> HttpFunction:
        made.append(HttpFunction(app, System()))
        return made[-1]

    yield make
    for item in made:
        item.close()


def event(path: str = "/", method: str = "GET", **more: Any) -> dict[str, Any]:
    request = {"http": {"method": method, "path": path, "sourceIp": "192.0.2.1"}, "requestId": "r", "stage": "$default"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "a=%C3%A9&b",
        "headers": {"Host": "example.org", "Content-Type": "application/json", "x-forwarded-proto": "https"},
        "requestContext": request,
        "isBase64Encoded": False,
        **more,
    }


def answering(body: bytes, *headers: tuple[bytes, bytes], status: int = 200) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body})

    return app


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    seen = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
        "client": scope["client"][0],
        "body": message["body"].decode("latin-1"),
    }
    await answering(json.dumps(seen).encode())(scope, receive, send)


def test_a_request(function: Making) -> None:
    answer = function(echo)(event("/x", "POST", body='{"é": 1}'), None)
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, False)
    assert json.loads(answer["body"]) == {
        "method": "POST",
        "path": "/x",
        "raw_path": "/x",
        "query": "a=%C3%A9&b",
        "headers": {"host": "example.org", "content-type": "application/json", "x-forwarded-proto": "https"},
        "client": "192.0.2.1",
        "body": '{"é": 1}'.encode().decode("latin-1"),
    }


def test_a_binary_body(function: Making) -> None:
    body = bytes(range(256))
    answer = function(echo)(event("/", "POST", body=base64.b64encode(body).decode(), isBase64Encoded=True), None)
    assert json.loads(answer["body"])["body"] == body.decode("latin-1")


@pytest.mark.parametrize(
    ("sent", "path", "raw"),
    [
        # A function URL hands on what was sent; an HTTP API decodes all but %25.
        ("/a%2Fb/100%25", "/a/b/100%", "/a%2Fb/100%25"),
        ("/%C3%A9%20", "/é ", "/%C3%A9%20"),
        ("/é ", "/é ", "/%C3%A9%20"),
        ("/é%25", "/é%", "/%C3%A9%25"),
        ("", "/", "/"),
    ],
)
def test_paths(function: Making, sent: str, path: str, raw: str) -> None:
    seen = json.loads(function(echo)(event(sent), None)["body"])
    assert (seen["path"], seen["raw_path"]) == (path, raw)


def test_headers_out(function: Making) -> None:
    app = answering(
        b"x", (b"content-type", b"text/plain"), (b"connection", b"close"), (b"retry-after", b"1"), status=413
    )
    assert function(app)(event(), None) == {
        "statusCode": 413,
        "headers": {"content-type": "text/plain", "retry-after": "1"},
        "body": "x",
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(b"{}" * 100, mtime=0), [(b"content-encoding", b"gzip"), (b"content-type", b"application/json")]),
        (b"plain after all", [(b"content-encoding", b"gzip")]),
        (b"\x89PNG\xff\x00", [(b"content-type", b"image/png")]),
    ],
)
def test_what_leaves_as_base64(function: Making, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    answer = function(answering(body, *headers))(event(), None)
    assert answer["isBase64Encoded"] is True
    assert base64.b64decode(answer["body"]) == body


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"Records": []},
        {"version": "1.0", "httpMethod": "GET", "path": "/", "requestContext": {}},
        {"version": "2.0", "requestContext": {}},
        {"httpMethod": "GET", "requestContext": {"elb": {}}},
    ],
)
def test_an_event_that_is_no_request(function: Making, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=r"^this function handles requests of an HTTP API"):
        function(echo)(wrong, None)


def test_what_the_application_raises(function: Making, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("secret")

    answer = function(app)(event(), None)
    assert answer["statusCode"] == 500
    assert answer["headers"]["content-type"] == "application/json"
    said = json.loads(answer["body"])
    assert said["error"] == "InternalError"
    assert answer["headers"]["chroma-trace-id"] in said["message"]
    assert "secret" not in answer["body"]
    (record,) = [record for record in caplog.records if record.name == "afterglow.api"]
    assert "RuntimeError: secret" in record.getMessage()


def test_one_function_answers_many(function: Making) -> None:
    made = function(echo)
    for path in ("/a", "/b"):
        assert json.loads(made(event(path), None)["body"])["path"] == path


@dataclass(frozen=True)
class Remaining:
    """A context with so much time left."""

    milliseconds: int

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


def test_a_request_has_what_is_left_of_the_invocation_but_the_time_to_answer(function: Making) -> None:
    left: list[float] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        left.append(seconds_left(1_000.0))
        await answering(b"")(scope, receive, send)

    made = function(app)
    made(event(), Remaining(29_000))
    made(event(), None)
    assert left == [pytest.approx(25, abs=1), pytest.approx(25, abs=1)]
    assert seconds_left(1_000.0) == 1_000.0
