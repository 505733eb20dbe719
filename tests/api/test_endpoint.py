"""What becomes of errors, and where handlers run; over an engine that does what a test says."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import httpx
import pytest

from afterglow import errors
from afterglow.api.app import THREADS, create_app
from afterglow.collection import Engine
from afterglow.settings import Settings, System
from tests.wire.asgi_server import serve_app

COUNT = "/api/v2/tenants/default_tenant/databases/default_database/collections_count"


class Scripted:
    """An engine whose every answer is `act`'s."""

    def __init__(self) -> None:
        self.act: Callable[[], Any] = lambda: 0

    def count_collections(self, _tenant: str, _database: str) -> Any:
        return self.act()

    def check(self) -> None:
        self.act()

    def reset(self) -> None:
        self.act()


@pytest.fixture
def engine() -> Scripted:
    return Scripted()


@pytest.fixture
def client(engine: Scripted) -> Iterator[httpx.Client]:
    app = create_app(cast(Engine, engine), Settings(), System(), allow_reset=True)
    with serve_app(app) as base, httpx.Client(base_url=base, timeout=10.0) as client:
        yield client


def raising(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "status", "name", "level"),
    [
        (errors.InvalidArgument("what"), 400, "InvalidArgumentError", "INFO"),
        (errors.InvalidBody("what"), 422, "ChromaError", "INFO"),
        (errors.NotFound("what"), 404, "NotFoundError", "INFO"),
        (errors.AlreadyExists("what"), 409, "ChromaError", "INFO"),
        (errors.PermissionDenied("what"), 403, "ChromaError", "INFO"),
        (errors.Unimplemented("what"), 501, "ChromaError", "WARNING"),
        (errors.TooLarge("what"), 413, "ChromaError", "INFO"),
        (errors.Busy("what"), 429, "Backoff", "INFO"),
        (errors.Unavailable("what"), 503, "ChromaError", "WARNING"),
        (errors.StorageFull("what"), 507, "ChromaError", "ERROR"),
        (errors.Corrupt("what"), 500, "InternalError", "ERROR"),
        (errors.InternalError("what"), 500, "InternalError", "ERROR"),
    ],
)
def test_every_kind_of_error(
    engine: Scripted,
    client: httpx.Client,
    caplog: pytest.LogCaptureFixture,
    error: errors.AfterglowError,
    status: int,
    name: str,
    level: str,
) -> None:
    engine.act = raising(error)
    with caplog.at_level(logging.INFO, "afterglow.api"):
        response = client.get(COUNT)
    assert response.status_code == status
    assert response.json() == {"error": name, "message": "what"}
    (record,) = [item for item in caplog.records if item.name == "afterglow.api"]
    assert record.levelname == level
    assert json.loads(record.getMessage()) == {
        "event": "request failed",
        "method": "GET",
        "path": COUNT,
        "status": status,
        "error": type(error).__name__,
        "message": "what",
        "trace_id": response.headers["chroma-trace-id"],
    }


def test_every_error_of_the_library_is_in_the_table() -> None:
    from afterglow.api.http.errors import TABLE

    kinds = {
        item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.AfterglowError)
    }
    assert kinds - {errors.AfterglowError} <= TABLE.keys()


@pytest.mark.parametrize(("seconds", "header"), [(0.1, "1"), (1.0, "1"), (2.5, "3")])
def test_when_to_come_again(engine: Scripted, client: httpx.Client, seconds: float, header: str) -> None:
    for error in (errors.Busy("wait", seconds), errors.Unavailable("wait", seconds)):
        engine.act = raising(error)
        assert client.get(COUNT).headers["retry-after"] == header


@pytest.mark.parametrize(
    "error", [ValueError("secret"), KeyError("secret"), MemoryError("secret"), OSError(5, "secret")]
)
def test_what_nobody_expected(
    engine: Scripted, client: httpx.Client, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    engine.act = raising(error)
    response = client.get(COUNT)
    assert response.status_code == 500
    trace_id = response.headers["chroma-trace-id"]
    assert response.json() == {
        "error": "InternalError",
        "message": f"an unexpected error occurred; see trace id {trace_id} in the server's log",
    }
    (record,) = [item for item in caplog.records if item.name == "afterglow.api"]
    line = json.loads(record.getMessage())
    assert "\n" not in record.getMessage()
    assert (record.levelname, line["trace_id"], line["error"]) == ("ERROR", trace_id, type(error).__name__)
    assert "secret" in line["traceback"]
    engine.act = lambda: 7
    assert client.get(COUNT).json() == 7


def test_healthcheck_says_no(engine: Scripted, client: httpx.Client) -> None:
    engine.act = raising(errors.Unavailable("gone"))
    response = client.get("/api/v2/healthcheck")
    assert response.status_code == 503
    assert response.json() == {"is_executor_ready": False, "is_log_client_ready": False}


def test_reset(engine: Scripted, client: httpx.Client) -> None:
    response = client.post("/api/v2/reset")
    assert (response.status_code, response.json()) == (200, True)


@pytest.mark.slow
def test_system_routes_answer_while_the_pool_is_busy(engine: Scripted, client: httpx.Client) -> None:
    gate = threading.Event()
    entered = threading.Semaphore(0)

    def act() -> int:
        if threading.current_thread().name.startswith("api_"):
            entered.release()
            assert gate.wait(20)
        return 3

    engine.act = act
    try:
        with ThreadPoolExecutor(THREADS + 1) as callers:
            calls = [callers.submit(client.get, COUNT) for _ in range(THREADS + 1)]
            for _ in range(THREADS):
                assert entered.acquire(timeout=20)
            for path in ("/api/v2", "/api/v2/heartbeat", "/api/v2/healthcheck", "/api/v2/version", "/docs"):
                assert client.get(path).status_code == 200
            assert not any(call.done() for call in calls)
            gate.set()
            assert [call.result().json() for call in calls] == [3] * (THREADS + 1)
    finally:
        gate.set()


def test_the_end_of_the_application_ends_its_threads(engine: Scripted) -> None:
    app = create_app(cast(Engine, engine), Settings(), System(), allow_reset=True)
    before = set(threading.enumerate())
    with serve_app(app) as base:
        assert httpx.get(base + COUNT).json() == 0
        assert httpx.get(base + "/api/v2/healthcheck").status_code == 200
        mine = [item for item in set(threading.enumerate()) - before if item.name.startswith("api")]
        assert len(mine) == 2
    assert not [item for item in mine if item.is_alive()]
