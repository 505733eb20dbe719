"""Whole requests of every kind, good ones bent out of shape, for as long as is asked: no answer is the server's fault.

Here the application as a whole is called: paths, query strings, headers, bodies in pieces. The environment's
`AFTERGLOW_TEST_FUZZ_SECONDS` says for how long, 15 where it says nothing; every round prints its seed.
"""

import asyncio
import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message

from afterglow.api.app import create_app
from afterglow.api.route import Route
from afterglow.api.routes import COLLECTIONS, ROUTES
from afterglow.jobs.directory import open_directory
from afterglow.jobs.open import serve
from afterglow.settings import Ambient, Settings
from tests.api.test_fuzz import names, values, whole_bodies

SECONDS = float(os.environ.get("AFTERGLOW_TEST_FUZZ_SECONDS", "15"))
EXAMPLES = 400
COLLECTION = "fuzzed-by-name"
SYNTAX = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b":",
    b",",
    b"null",
    b"1e999",
    b"-0",
    b"\\ud800",
    b"\xff",
    b"\x00",
    b"{}",
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 240)]


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `pieces` are the parts that its body comes in."""

    route: Route
    parts: dict[str, str]
    query: bytes
    headers: list[tuple[bytes, bytes]]
    pieces: list[bytes]

    @property
    def path(self) -> str:
        path = self.route.path
        for name, part in self.parts.items():
            path = path.replace("{" + name + "}", part)
        return path


@st.composite
def bent(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """A body of which a few bytes are cut, doubled, swapped for syntax, or put elsewhere."""
    body = draw(bodies)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(len(body), start + 12)))
        middle = draw(
            st.sampled_from(SYNTAX) | st.binary(max_size=3) | st.just(body[start:end] * 2) | st.just(body[:start])
        )
        body = body[:start] + middle + body[end:]
    return body


part = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).map(lambda text: quote(text, safe=""))
odd_part = part | st.sampled_from(["%", "%ff", "%00", "..", "%2e%2e", "a%2fb", "x" * 600])
fields = st.sampled_from(["limit", "offset", "tenant", "database", "read_level", "x"])
pairs = st.tuples(fields, st.integers(-1, 2**33).map(str) | odd_part | st.just("default_tenant")).map("=".join)
queries = st.lists(pairs, max_size=3).map("&".join).map(str.encode) | st.binary(max_size=20)
headers = st.lists(
    st.sampled_from(
        [
            (b"content-type", b"application/json"),
            (b"content-type", b"text/plain"),
            (b"content-encoding", b"gzip"),
            (b"accept-encoding", b"gzip"),
            (b"user-agent", b"python-httpx/0.28.1"),
            (b"user-agent", b"python-requests/2.31.0"),
            (b"authorization", b"Basic !"),
        ]
    ),
    max_size=3,
)
bodies = bent(((whole_bodies | st.dictionaries(names, values, max_size=4)) | values).map(orjson.dumps))


@st.composite
def requests(draw: st.DrawFn, collection_id: str) -> Request:
    """A request of some route, mostly about what is there."""
    route = draw(st.sampled_from([each for each in ROUTES if not each.hidden]))
    there = {
        "tenant": "default_tenant",
        "database": "default_database",
        "collection_id": collection_id if route.request is not None else COLLECTION,
        "function_name": "f",
        "crn": "a:b:c",
    }
    parts = {name: value for name, value in there.items() if "{" + name + "}" in route.path}
    for name in parts:
        if draw(st.integers(0, 9)) == 0:
            parts[name] = draw(odd_part)
    body = b"" if route.request is None else draw(bodies)
    cut = draw(st.integers(0, len(body)))
    return Request(route, parts, draw(queries), draw(headers), [body[:cut], body[cut:]] if cut else [body])


async def answered(app: ASGIApp, request: Request) -> tuple[int, bytes]:
    """The status and the body of the application's answer."""
    waiting: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": at + 1 < len(request.pieces)}
        for at, piece in enumerate(request.pieces)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": request.route.method,
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": request.query,
        "headers": request.headers,
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)
    start, *rest = sent
    return start["status"], b"".join(each["body"] for each in rest)


def judge(app: ASGIApp, loop: asyncio.AbstractEventLoop, request: Request) -> None:
    status, body = loop.run_until_complete(answered(app, request))
    said: Any = orjson.loads(body) if body else None
    if status < 400:
        return
    if body:
        assert set(said) == {"error", "message"}
    else:
        assert status in (404, 405)
    # The contract's own 500, for a query among ids that are not all there; and what is not served.
    of_contract = status == 501 or (status == 500 and "Error finding id" in said["message"])
    assert status < 500 or of_contract, (request, said)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def one_round(number: int, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
    """A server of its own, and as many requests as there are examples."""
    given_settings, ambient = Settings(max_body_bytes=100_000), Ambient()
    engine = serve(open_directory(folder, ambient), given_settings, ambient)
    try:
        app = create_app(engine, given_settings, ambient, allow_reset=number % 2 == 0, threads=0)
        creation = next(each for each in ROUTES if (each.method, each.path) == ("POST", COLLECTIONS))
        place = {"tenant": "default_tenant", "database": "default_database"}
        status, body = loop.run_until_complete(
            answered(app, Request(creation, place, b"", [], [orjson.dumps({"name": COLLECTION})]))
        )
        assert status == 200

        @seed(number)
        @given(request=requests(orjson.loads(body)["id"]))
        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def run(request: Request) -> None:
            judge(app, loop, request)

        run()
    finally:
        engine.close()


def test_requests(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    end = time.monotonic() + SECONDS
    for number in itertools.count(int(time.time())):
        print("seed", number)
        one_round(number, tmp_path / str(number), loop)
        if time.monotonic() > end:
            return
