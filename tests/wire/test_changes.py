"""The changes of a collection: lines, positions, long polling, and server-sent events."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import orjson
import pytest

from afterglow.api.app import create_app
from afterglow.api.http import feed
from afterglow.collection import Engine
from afterglow.collection.changes.position import ChangePosition
from afterglow.collection.changes.reader import ChangePage
from afterglow.deployment.local import open_local
from afterglow.errors import PositionExpired, Unavailable
from afterglow.jobs.start import start_engine
from afterglow.settings import Settings, System
from tests.wire.asgi_server import serve_app
from tests.wire.clients import ApiClient, CollectionClient, assert_error

NEXT = "afterglow-next-position"


def lines_of(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [orjson.loads(line) for line in response.text.splitlines()]


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append((fields.get("id", fields.get("event", "")), orjson.loads(fields["data"])))
    return found


@pytest.fixture
def written(collection: CollectionClient) -> CollectionClient:
    collection.add(ids=["a", "b"], embeddings=[[1, 2], [3, 4]], documents=["x", None], metadatas=[{"n": 1}, None])
    collection.post("update", ids=["a", "b"], embeddings=[None, [5, 6]], metadatas=[{"n": None, "m": [1, 2]}, None])
    collection.post("upsert", ids=["c"], embeddings=[[0.1, 1e-7]], uris=["u"])
    collection.post("delete", where={"m": {"$contains": 1}})
    return collection


def test_lines_are_what_was_written(written: CollectionClient) -> None:
    response = written.get("changes")
    lines = lines_of(response)
    times = [line.pop("time") for line in lines]
    assert times == sorted(times)
    assert times[0] > 1_600_000_000_000
    assert lines == [
        {
            "position": 1,
            "offset": 0,
            "total": 2,
            "operation": "add",
            "records": {
                "ids": ["a", "b"],
                "embeddings": [[1.0, 2.0], [3.0, 4.0]],
                "documents": ["x", None],
                "metadatas": [{"n": 1}, None],
            },
            "next": "1",
        },
        {
            "position": 2,
            "offset": 0,
            "total": 2,
            "operation": "update",
            "records": {
                "ids": ["a", "b"],
                "embeddings": [None, [5.0, 6.0]],
                "metadatas": [{"n": None, "m": [1, 2]}, None],
            },
            "next": "2",
        },
        {
            "position": 3,
            "offset": 0,
            "total": 1,
            "operation": "upsert",
            "records": {"ids": ["c"], "embeddings": [[0.1, 1e-7]], "uris": ["u"]},
            "next": "3",
        },
        {"position": 4, "offset": 0, "total": 1, "operation": "delete", "records": {"ids": ["a"]}, "next": "4"},
    ]
    assert response.headers[NEXT] == "4"


def test_records_are_bodies_of_requests(written: CollectionClient, api_client: ApiClient) -> None:
    copy = api_client.collection()
    for line in lines_of(written.get("changes")):
        assert copy.post(line["operation"], **line["records"]).status_code in (200, 201)
    fields = ("documents", "embeddings", "metadatas", "uris")
    assert copy.records(*fields) == written.records(*fields)


def test_pages_follow_without_a_gap(written: CollectionClient) -> None:
    after, positions = "0", []
    while page := lines_of(response := written.get(f"changes?after={after}&limit=3")):
        assert len(page) <= 3
        positions += [line["position"] for line in page]
        after = response.headers[NEXT]
        assert after == page[-1]["next"]
    assert positions == [1, 2, 3, 4]
    assert (response.headers[NEXT], response.text) == ("4", "")
    none = written.get("changes?after=2&limit=0&wait=30")
    assert (none.headers[NEXT], none.text) == ("2", "")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("after=x", "after: 'x' is not a position like 17 or 17:300"),
        ("after=-1", "after: '-1' is not a position like 17 or 17:300"),
        ("wait=61", "wait: '61' is not a number of seconds from 0 to 60"),
        ("wait=soon", "wait: 'soon' is not a number of seconds from 0 to 60"),
        ("limit=x", "Failed to deserialize query string: limit: invalid digit found in string"),
    ],
)
def test_parameters_that_are_refused(collection: CollectionClient, query: str, message: str) -> None:
    assert_error(collection.get(f"changes?{query}"), 400, message)


def test_a_position_that_does_not_exist(written: CollectionClient) -> None:
    response = written.get("changes?after=9&wait=30")
    assert_error(response, 400, f"position 9 does not exist yet in collection {written.created['id']}")


def test_a_collection_that_does_not_exist(collection: CollectionClient) -> None:
    path = collection.path.replace(collection.created["id"], "00000000-0000-4000-8000-000000000000")
    assert collection.api_client.request("GET", path + "/changes?wait=30").status_code == 404


def test_a_long_poll_answers_when_something_is_written(collection: CollectionClient) -> None:
    writer = threading.Timer(0.3, lambda: collection.add(ids=["a"], embeddings=[[1, 2]]))
    writer.start()
    started = time.monotonic()
    response = collection.get("changes?wait=20")
    assert [line["position"] for line in lines_of(response)] == [1]
    assert 0.25 < time.monotonic() - started < 10
    writer.join()
    assert lines_of(collection.get("changes?wait=20"))  # there already


def test_a_long_poll_ends_without_a_change(collection: CollectionClient) -> None:
    started = time.monotonic()
    response = collection.get("changes?wait=0.4")
    assert (response.status_code, response.text, response.headers[NEXT]) == (200, "", "0")
    assert 0.35 < time.monotonic() - started < 10


def test_a_long_poll_ends_when_the_collection_is_dropped(api_client: ApiClient) -> None:
    collection = api_client.collection()
    path = f"{collection.database}/collections/{collection.created['name']}"
    dropping = threading.Timer(0.3, lambda: api_client.request("DELETE", path))
    dropping.start()
    assert collection.get("changes?wait=20").status_code == 404
    dropping.join()


@contextmanager
def streaming(collection: CollectionClient, query: str = "", **headers: str) -> Iterator[httpx.Response]:
    http = collection.api_client.http
    accept = {"accept": "text/event-stream", **headers}
    with http.stream("GET", f"{collection.path}/changes{query}", headers=accept) as response:
        yield response


def take_events(response: httpx.Response, number: int) -> list[tuple[str, dict[str, Any]]]:
    text = ""
    for piece in response.iter_text():
        text += piece
        if len(found := events_of(text[: text.rfind("\n\n")])) >= number:
            return found
    raise AssertionError(f"the stream ended: {text}")


def test_a_stream_sends_what_is_there_and_what_comes(written: CollectionClient) -> None:
    with streaming(written, "?after=2") as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-store"
        writer = threading.Timer(0.3, lambda: written.post("delete", ids=["c"]))
        writer.start()
        events = take_events(response, 3)
    writer.join()
    assert [(name, event["position"], event["operation"]) for name, event in events] == [
        ("3", 3, "upsert"),
        ("4", 4, "delete"),
        ("5", 5, "delete"),
    ]


def test_a_client_that_reconnects_goes_on_after_its_last_event(written: CollectionClient) -> None:
    with streaming(written, "?after=0", **{"last-event-id": "3"}) as response:
        ((name, event),) = take_events(response, 1)
    assert (name, event["position"]) == ("4", 4)


def test_a_stream_that_cannot_begin_is_an_error(written: CollectionClient) -> None:
    with streaming(written, "?after=99") as response:
        assert response.status_code == 400
        assert b"does not exist yet" in response.read()


def test_a_head_request_waits_for_nothing(written: CollectionClient) -> None:
    for accept in ("*/*", "text/event-stream"):
        response = written.api_client.request(
            "HEAD", f"{written.path}/changes?after=4&wait=30", headers={"accept": accept}
        )
        assert (response.status_code, response.headers[NEXT], response.text) == (200, "4", "")


class Scripted:
    """An engine that gives the pages of a test."""

    def __init__(self, *pages: ChangePage | Exception) -> None:
        self.pages = list(pages)
        self.keys: Any = None

    def changes(self, _scope: Any, after: ChangePosition, _limit: int, _max_bytes: int) -> ChangePage:
        page = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        if isinstance(page, Exception):
            raise page
        return page


PATH = "/api/v2/tenants/t/databases/default/collections/00000000-0000-4000-8000-000000000000/changes"
EVENTS = {"accept": "text/event-stream"}


@contextmanager
def scripted(*pages: ChangePage | Exception, threads: int = 2) -> Iterator[httpx.Client]:
    app = create_app(cast(Engine, Scripted(*pages)), Settings(), System(), allow_reset=False, threads=threads)
    with serve_app(app) as base, httpx.Client(base_url=base, timeout=20.0) as client:
        yield client


def test_what_has_expired_names_the_oldest_position() -> None:
    with scripted(PositionExpired("not stored any more: the oldest position is 12", 12)) as client:
        for headers in ({}, EVENTS):
            response = client.get(PATH, headers=headers)
            assert_error(response, 410, "not stored any more: the oldest position is 12")
            assert response.headers["afterglow-oldest-position"] == "12"


def test_an_error_within_a_stream_is_an_event() -> None:
    empty = ChangePage(ChangePosition(3))
    for error, name in ((Unavailable("the disk is gone"), "ChromaError"), (ValueError("secret"), "InternalError")):
        with scripted(empty, error) as client:
            response = client.get(PATH, headers=EVENTS)
            ((kind, body),) = events_of(response.text)
            assert (kind, body["error"]) == ("error", name)
            assert "secret" not in response.text


def test_a_stream_is_bounded_and_has_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "STREAM_SECONDS", 0.5)
    monkeypatch.setattr(feed, "_HEARTBEAT_SECONDS", 0.1)
    with scripted(ChangePage(ChangePosition(3))) as client:
        text = client.get(PATH, headers=EVENTS).text
    assert text.startswith("retry: 2000\n\n")
    assert 2 <= text.count(":\n\n") <= 5


def test_without_threads_nothing_waits() -> None:
    with scripted(ChangePage(ChangePosition(3)), threads=0) as client:
        started = time.monotonic()
        for headers in ({}, EVENTS):
            assert client.get(PATH + "?wait=30", headers=headers).headers[NEXT] == "3"
        assert time.monotonic() - started < 10


def test_no_more_requests_wait_than_a_process_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_FOLLOWERS", 1)
    with scripted(ChangePage(ChangePosition(3))) as client, client.stream("GET", PATH, headers=EVENTS) as first:
        pieces = first.iter_raw()
        next(pieces)
        for headers in ({}, EVENTS):
            response = client.get(PATH + "?wait=30", headers=headers)
            assert (response.status_code, response.json()["error"]) == (429, "Backoff")
        assert client.get(PATH).status_code == 200
        first.close()
        deadline = time.monotonic() + 10
        while client.get(PATH + "?wait=0.01").status_code != 200:
            assert time.monotonic() < deadline


def test_a_client_that_goes_away_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = threading.Event()
    original = feed.Followers.join

    @contextmanager
    def join(self: feed.Followers, client: feed.Client, caller: str) -> Iterator[None]:
        with original(self, client, caller):
            yield
        left.set()

    monkeypatch.setattr(feed.Followers, "join", join)
    system = System()
    engine = start_engine(open_local(tmp_path, system), Settings(), system)
    try:
        with serve_app(create_app(engine, Settings(), system, allow_reset=False)) as base:
            with httpx.Client(base_url=base, timeout=0.3) as http:
                collection = ApiClient(http).collection()
                with pytest.raises(httpx.ReadTimeout):
                    collection.get("changes?wait=60")
            assert left.wait(10)
    finally:
        engine.close()
