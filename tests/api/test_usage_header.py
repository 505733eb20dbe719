"""What a request used, in its header and in the facts for the log; over an engine that does what a test says."""

import asyncio
import threading
from typing import Any, cast

import numpy as np
import orjson
import pytest
from starlette.types import Message

from afterglow.api.app import create_app
from afterglow.api.http.usage_header import format_usage
from afterglow.collection import Engine
from afterglow.collection.read.ranked_search import SearchResult
from afterglow.collection.types import CountResult, Records
from afterglow.errors import Unavailable
from afterglow.metering import Usage, collect_usage, current_usage
from afterglow.settings import Settings, System

DATABASE = "/api/v2/tenants/default_tenant/databases/default_database"
COUNT = DATABASE + "/collections_count"
RECORDS = DATABASE + "/collections/9d8c0a4e-5f7b-4f5e-9d1c-0a4e5f7b4f5e/"


class Calling:
    """An engine that says what it used."""

    def __init__(self) -> None:
        self.seen: list[tuple[Usage | None, str]] = []

    def count_collections(self, _tenant: str, _database: str) -> int:
        usage = current_usage()
        self.seen.append((usage, threading.current_thread().name))
        if usage is not None:
            usage.call("s3.GetObject", read=4096)
            usage.call("dynamodb.Query", read_units=1.5)
        return 3

    def write(self, _scope: Any, _batch: Any) -> None:
        raise Unavailable("gone")

    def delete(self, _scope: Any, _selection: Any, _limit: Any) -> CountResult:
        return CountResult(2, 7)

    def can_search_inline(self, _scope: Any, _searches: Any, at: object = None) -> bool:
        return False

    def find_ranked(self, _scope: Any, searches: Any, *_: Any) -> list["Page"]:
        return [Page() for _ in searches]


class Page:
    """The records of one search."""

    scores = np.zeros(2, dtype=np.float32)
    byte_size = 100

    def read(self) -> SearchResult:
        return SearchResult(Records(["a", "b"]), self.scores)


def send_request(
    method: str, path: str, body: bytes = b"", *, engine: Calling | None = None, metered: bool = True, threads: int = 2
) -> tuple[int, dict[str, str]]:
    app = create_app(
        cast(Engine, engine or Calling()),
        Settings(),
        System(),
        allow_reset=False,
        report_usage=metered,
        threads=threads,
    )
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}

    async def run() -> None:
        await app(scope, receive, send)
        await app({"type": "lifespan"}, receive, send)  # ends the threads

    asyncio.run(run())
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def test_rendering() -> None:
    usage = Usage()
    assert format_usage(usage) == "read-units=0, write-units=0, bytes-read=0, bytes-written=0"
    usage.call("s3.PutObject", written=1_234_567_890)
    usage.call("dynamodb.Query", read_units=0.5)
    usage.call("dynamodb.Query", read_units=1, write_units=20)
    assert format_usage(usage) == (
        "dynamodb.Query=2, s3.PutObject=1, read-units=1.5, write-units=20, bytes-read=0, bytes-written=1234567890"
    )


@pytest.mark.parametrize("threads", [0, 2])
def test_what_a_handler_uses_is_in_the_header(threads: int) -> None:
    engine = Calling()
    status, headers = send_request("GET", COUNT, engine=engine, threads=threads)
    assert status == 200
    assert headers["afterglow-usage"] == (
        "dynamodb.Query=1, s3.GetObject=1, read-units=1.5, write-units=0, bytes-read=4096, bytes-written=0"
    )
    ((usage, thread),) = engine.seen
    assert usage is not None
    assert usage.attributes == {"operation": "collections.count", "status": 200}
    assert thread.startswith("api_") is bool(threads)


def test_an_application_that_is_not_metered_measures_nothing() -> None:
    engine = Calling()
    status, headers = send_request("GET", COUNT, engine=engine, metered=False)
    assert status == 200
    assert "afterglow-usage" not in headers
    assert engine.seen[0][0] is None


def test_usage_reaches_an_outer_collector() -> None:
    with collect_usage() as outside:
        send_request("GET", COUNT)
    assert outside.calls == {"dynamodb.Query": 1, "s3.GetObject": 1}
    assert outside.attributes == {"operation": "collections.count", "status": 200}


def test_every_request_has_its_own() -> None:
    engine = Calling()
    for _ in range(2):
        assert send_request("GET", COUNT, engine=engine)[1]["afterglow-usage"].startswith("dynamodb.Query=1,")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("PATCH", COUNT, 405), ("GET", "/api/v2/heartbeat", 200)],
)
def test_every_answer_has_the_header(method: str, path: str, status: int) -> None:
    answered, headers = send_request(method, path)
    assert answered == status
    figures = "read-units=0, write-units=0, bytes-read=0, bytes-written=0"
    assert headers["afterglow-usage"] == (figures if status == 200 else "")


def test_a_refusal_does_not_tell_the_size_of_what_is_not_there() -> None:
    usage = Usage()
    usage.call("dynamodb.GetItem", read_units=12)
    assert format_usage(usage, refused=True) == "dynamodb.GetItem=1"


def test_facts_and_phases_of_a_write_that_fails() -> None:
    body = orjson.dumps({"ids": ["a", "b"], "embeddings": [[1.0], [2.0]]})
    with collect_usage() as usage:
        status, headers = send_request("POST", RECORDS + "add", body)
    assert status == 503
    assert "afterglow-usage" in headers
    assert usage.attributes == {
        "operation": "records.add",
        "collection": "9d8c0a4e-5f7b-4f5e-9d1c-0a4e5f7b4f5e",
        "rows": 2,
        "status": 503,
    }
    assert set(usage.phases) == {"parse", "handle"}


def test_facts_and_phases_of_searches() -> None:
    with collect_usage() as usage:
        send_request("POST", RECORDS + "search", b'{"searches":[{},{}]}')
    assert usage.attributes["operation"] == "search.search"
    assert (usage.attributes["queries"], usage.attributes["rows"]) == (2, 4)
    assert set(usage.phases) == {"parse", "handle", "render"}


def test_facts_of_a_delete() -> None:
    with collect_usage() as usage:
        send_request("POST", RECORDS + "delete", b'{"ids":["a","b","c"]}')
    assert usage.attributes["rows"] == 2
