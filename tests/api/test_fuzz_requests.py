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
from afterglow.api.http.route import Route
from afterglow.api.v2.routes import ROUTES
from afterglow.api.v2.routes.paths import COLLECTIONS
from afterglow.deployment.local import open_local
from afterglow.jobs.start import start_engine
from afterglow.settings import Settings, System
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
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 2, 3]))):
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
headers: st.SearchStrategy[list[tuple[bytes, bytes]]] = st.just([]) | st.lists(
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
small = st.integers(-3, 3) | st.floats(-4, 4, width=32)
scalar = st.sampled_from([True, 0, 1, 2.5, "x", "y"])
keys = st.sampled_from("abc")
metadata = st.dictionaries(keys, scalar | st.lists(st.integers(0, 3), max_size=2), max_size=3) | st.none()
ids = st.sampled_from(["a", "b", "c", "d", "é"])
condition = st.one_of(
    st.dictionaries(keys, scalar, min_size=1, max_size=1),
    st.tuples(keys, st.sampled_from(["$eq", "$ne", "$contains"]), scalar).map(
        lambda item: {item[0]: {item[1]: item[2]}}
    ),
    st.tuples(keys, st.sampled_from(["$gt", "$lte"]), small).map(lambda item: {item[0]: {item[1]: item[2]}}),
    st.tuples(keys, st.sampled_from(["$in", "$nin"]), scalar).map(lambda item: {item[0]: {item[1]: [item[2]]}}),
)
where = st.recursive(
    condition, lambda inner: st.fixed_dictionaries({"$and": st.lists(inner, max_size=3)}) | inner, max_leaves=4
)
where_document = st.tuples(
    st.sampled_from(["$contains", "$not_contains", "$regex"]), st.sampled_from(["first", "é", "", ".", "f.*t", "("])
).map(lambda item: {item[0]: item[1]})
filters = {
    "ids": st.lists(ids, max_size=3) | st.none(),
    "where": where | st.none() | st.just({}),
    "where_document": where_document | st.none() | st.just({}),
    "limit": st.integers(0, 5) | st.none(),
    "include": st.lists(st.sampled_from(["documents", "embeddings", "distances", "metadatas", "uris"]), max_size=3),
}


@st.composite
def columns(draw: st.DrawFn) -> dict[str, Any]:
    """Records of one write, of two dimensions mostly."""
    rows = draw(st.integers(0, 4))
    dimension = draw(st.sampled_from([2, 2, 2, 2, 3]))
    vector = st.lists(small, min_size=dimension, max_size=dimension)

    def column(item: st.SearchStrategy[Any]) -> Any:
        return draw(st.lists(item, min_size=rows, max_size=rows))

    written = {"ids": column(ids), "embeddings": column(vector)}
    if dimension == 2 and draw(st.booleans()):
        written["embeddings"] = column(st.sampled_from(["AACAPwAAgD8=", "AAAAAAAAgL8="]))
    optional = {
        "documents": st.sampled_from(["first", "second", "", None]),
        "metadatas": metadata,
        "uris": st.sampled_from(["u", None]),
    }
    return written | {name: column(item) for name, item in optional.items() if draw(st.booleans())}


def one(name: str, operand: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({name: operand})


knn = st.fixed_dictionaries(
    {"query": st.lists(small, min_size=2, max_size=2)},
    optional={"limit": st.integers(0, 5), "default": small, "return_rank": st.booleans(), "key": values},
)
ranks = st.recursive(
    one("$knn", knn) | one("$val", small | st.just(1e39)) | values,
    lambda inner: st.one_of(
        *(one(name, st.lists(inner, max_size=3)) for name in ("$sum", "$mul", "$max", "$min")),
        *(one(name, inner) for name in ("$abs", "$exp", "$log")),
        *(one(name, st.fixed_dictionaries({"left": inner, "right": inner})) for name in ("$sub", "$div")),
    ),
    max_leaves=5,
)
selected = st.lists(st.sampled_from(["k", "#score", "#document", "#embedding", "#metadata", "#id"]), max_size=3)
remaining = st.fixed_dictionaries({"keys": selected, "k": st.integers(0, 2)})
searches = st.fixed_dictionaries(
    {},
    optional={
        "filter": filters["where"],
        "rank": ranks,
        "group_by": st.fixed_dictionaries(
            {"keys": selected, "aggregate": one("$min_k", remaining) | one("$max_k", remaining)}
        ),
        "limit": st.fixed_dictionaries({}, optional={"offset": st.integers(0, 3), "limit": st.integers(0, 3)}),
        "select": one("keys", selected),
    },
)

GOOD: dict[str, st.SearchStrategy[Any]] = {
    "add": columns(),
    "update": columns(),
    "upsert": columns(),
    "get": st.fixed_dictionaries({}, optional=filters),
    "delete": st.fixed_dictionaries({}, optional=filters),
    "query": st.fixed_dictionaries(
        {"query_embeddings": st.lists(st.lists(small, min_size=2, max_size=2), max_size=3)},
        optional=filters | {"n_results": st.integers(0, 6)},
    ),
    "search": st.fixed_dictionaries({"searches": st.lists(searches, max_size=3)}),
    "create": st.fixed_dictionaries(
        {"name": st.text("abc", min_size=3, max_size=4)},
        optional={"metadata": metadata, "get_or_create": st.booleans(), "configuration": st.none()},
    ),
    "create_tenant": st.fixed_dictionaries({"name": st.text("abc", min_size=3, max_size=4)}),
    "create_database": st.fixed_dictionaries({"name": st.text("abc", min_size=3, max_size=4)}),
}


@st.composite
def written(draw: st.DrawFn, operation: str) -> Any:
    """What is good for an operation, with one field replaced by anything now and then; or anything."""
    kind = draw(st.integers(0, 9))
    if operation not in GOOD or kind == 0:
        return draw((whole_bodies | st.dictionaries(names, values, max_size=4)) | values)
    body: dict[str, Any] = draw(GOOD[operation])
    if kind < 3:
        body[draw(st.sampled_from([*body, "limit"]))] = draw(values)
    return body


@st.composite
def requests(draw: st.DrawFn, collection_id: str) -> Request:
    """A request of some route, mostly about what is there, and seldom its end."""
    route = draw(st.sampled_from([item for item in ROUTES if not item.hidden]))
    there = {
        "tenant": "default_tenant",
        "database": "default_database" if route.method != "DELETE" else "abc",
        "collection_id": collection_id if route.method != "DELETE" else "abc",
        "function_name": "f",
        "key": "0" * 12,
        "import_id": "0",
        "crn": "a:b:c",
    }
    parts = {name: value for name, value in there.items() if "{" + name + "}" in route.path}
    for name in parts:
        if draw(st.integers(0, 19)) == 0:
            parts[name] = draw(odd_part)
    operation = route.operation.rpartition(".")[2]
    body = b"" if route.request is None else draw(bent(written(operation).map(orjson.dumps)))
    cut = draw(st.integers(0, len(body)))
    pieces = [body[:cut], body[cut:]] if cut else [body]
    query = draw(st.just(b"") | queries)
    return Request(route, parts, query, draw(headers), pieces)


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str
    body: bytes

    def values(self) -> list[Any]:
        """The JSON values of the body: one, one of each line, or one of each event."""
        match self.content_type.partition(";")[0]:
            case "application/x-ndjson":
                return [orjson.loads(line) for line in self.body.splitlines()]
            case "text/event-stream":
                lines = self.body.decode().splitlines()
                return [orjson.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
            case _:
                return [orjson.loads(self.body)] if self.body else []


async def answered(app: ASGIApp, request: Request) -> Answer:
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
    types = [value.decode() for name, value in start["headers"] if name.lower() == b"content-type"]
    return Answer(start["status"], types[0] if types else "", b"".join(item["body"] for item in rest))


def judge(app: ASGIApp, loop: asyncio.AbstractEventLoop, request: Request) -> None:
    answer = loop.run_until_complete(answered(app, request))
    values = answer.values()
    if answer.status < 400:
        return
    if values:
        assert set(values[0]) == {"error", "message"}
    else:
        assert answer.status in (404, 405)
    assert answer.status < 500 or answer.status == 501, (request, values)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    created = asyncio.new_event_loop()
    yield created
    created.close()


def one_round(number: int, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
    """A server of its own, and as many requests as there are examples."""
    given_settings, system = Settings(max_body_bytes=100_000), System()
    engine = start_engine(open_local(folder, system), given_settings, system)
    try:
        app = create_app(engine, given_settings, system, allow_reset=number % 2 == 0, threads=0)
        creation = next(item for item in ROUTES if (item.method, item.path) == ("POST", COLLECTIONS))
        place = {"tenant": "default_tenant", "database": "default_database"}
        created = loop.run_until_complete(
            answered(app, Request(creation, place, b"", [], [orjson.dumps({"name": COLLECTION})]))
        )
        assert created.status == 200

        @seed(number)
        @given(request=requests(created.values()[0]["id"]))
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
