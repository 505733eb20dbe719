"""The built functions under the runtime client of Lambda, with only their layers; on MiniStack."""

import base64
import json
import socket
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from afterglow.settings import LAMBDA_DEFAULTS
from tests.functions.loading import event, variables
from tests.functions.test_api import STORY
from tests.support.aws import Made, make
from tests.support.ministack import MiniStack, fresh_account, ministack
from tests.support.runtime import LIMIT, Failed, Function, FunctionError, TimedOut, TooLarge
from tests.support.server import HOST

pytestmark = pytest.mark.stack

MAX_INIT_CPU_MS = 5_000
"""A guard against a start that reads what no function uses, wide enough for a busy machine."""
MAX_MB = 160

Starting = Callable[..., Function]


@pytest.fixture(scope="module")
def stack() -> Iterator[MiniStack]:
    with ministack() as running:
        yield running


@pytest.fixture
def account(stack: MiniStack) -> dict[str, str]:
    """The environment variables of a fresh account."""
    return stack.environment(fresh_account())


@pytest.fixture
def made(account: dict[str, str]) -> Made:
    with mock.patch.dict("os.environ", account):
        return make()


@pytest.fixture
def start(build: Path, account: dict[str, str], made: Made, tmp_path: Path) -> Iterator[Starting]:
    """Starts the function with a name until the end of the test, and prints what its start cost."""
    given = {**account, **variables(made, tmp_path / "cache"), "OPENBLAS_NUM_THREADS": "1"}
    layers = [build / "DependenciesLayer", build / "AfterglowLayer"]
    with ExitStack() as stack_of_functions:

        def starting(name: str, environment: Mapping[str, str] | None = None, **options: Any) -> Function:
            printed = tmp_path / f"{name}.log"
            function = Function(build / name, layers, {**given, **(environment or {})}, printed, **options)
            started = stack_of_functions.enter_context(function)
            stack_of_functions.callback(lambda: print(started.report()))
            return started

        yield starting


def answer(got: dict[str, Any]) -> Any:
    """The JSON of a good answer."""
    assert got["statusCode"] in {200, 201}, got
    body = got["body"]
    if got["isBase64Encoded"]:
        body = zlib.decompress(base64.b64decode(body), 31)
    return json.loads(body)


def collection_of(function: Function) -> str:
    """A new collection's id."""
    return str(answer(function.invoke(event("api-create-collection")))["id"])


def with_body(name: str, collection: str, body: dict[str, Any]) -> dict[str, Any]:
    return {**event(name, collection), "body": json.dumps(body)}


def test_the_api_answers_every_event(start: Starting) -> None:
    function = start("ApiFunction")
    collection = ""
    times: dict[str, list[float]] = {}
    for name in (*STORY[:-2], "heartbeat", "query"):
        got = answer(function.invoke(event(f"api-{name}", collection)))
        collection = got["id"] if name == "create-collection" else collection
        times.setdefault(name, []).append(round(function.call_ms, 1))
    print(f"ms by call: {times}")
    assert answer(function.invoke(event("url-query", collection)))["ids"] == [["package-0", "package-1"]]
    assert function.init_cpu_ms < MAX_INIT_CPU_MS
    assert function.peak_mb() < MAX_MB
    lines = function.lines()
    assert len(lines) == len(STORY) + 1
    assert [line["cold"] for line in lines] == [True] + [False] * len(STORY)
    assert not [line for line in function.printed().splitlines() if not line.startswith("{")]


def test_the_indexer_and_the_maintenance_job_handle_their_events(start: Starting) -> None:
    api = start("ApiFunction")
    collection = collection_of(api)
    answer(api.invoke(event("api-add", collection)))
    before = answer(api.invoke(event("api-query", collection)))
    indexer = start("IndexerFunction", seconds=900)
    assert indexer.invoke(event("indexer-message", collection)) == {"batchItemFailures": []}
    assert answer(api.invoke(event("api-query", collection))) == before
    maintenance = start("MaintenanceFunction", seconds=900)
    for name in ("maintenance-enqueue-stale", "maintenance-clean-up"):
        maintenance.invoke(event(name))
    for function in (indexer, maintenance):
        assert function.init_cpu_ms < MAX_INIT_CPU_MS
        assert function.peak_mb() < MAX_MB
        assert {line["message"] for line in function.lines() if "Latency" in line} == {"invoked"}


def test_a_missing_dependency_is_an_import_error(build: Path, account: dict[str, str], tmp_path: Path) -> None:
    layers = [build / "AfterglowLayer"]
    with pytest.raises(Failed, match=r"^init/error [^\n]*No module named[^\n]*ImportModuleError"):
        Function(build / "ApiFunction", layers, account, tmp_path / "log").__enter__()


def test_an_event_that_is_not_a_request(start: Starting) -> None:
    function = start("ApiFunction")
    with pytest.raises(FunctionError, match=r"^InvalidArgument: this function handles requests of an HTTP API"):
        function.invoke(event("indexer-message"))
    assert answer(function.invoke(event("api-heartbeat")))


def test_a_request_over_the_limit(start: Starting) -> None:
    function = start("ApiFunction")
    collection = collection_of(function)
    got = function.invoke({**event("api-add", collection), "body": " " * (LAMBDA_DEFAULTS.max_body_bytes + 1)})
    assert got["statusCode"] == 413
    assert f"max_batch_size is {LAMBDA_DEFAULTS.max_batch_size}" in json.loads(got["body"])["message"]
    with pytest.raises(TooLarge):
        function.invoke({**event("api-add", collection), "body": " " * LIMIT})


def test_a_full_batch_of_the_largest_common_vectors_fits(start: Starting) -> None:
    function = start("ApiFunction")
    collection = collection_of(function)
    vector = base64.b64encode(bytes(4 * 3072)).decode()
    count = LAMBDA_DEFAULTS.max_batch_size
    body = {
        "ids": [f"id{at}" for at in range(count)],
        "embeddings": [vector] * count,
        "documents": ["word " * 30] * count,
    }
    assert function.invoke(with_body("api-add", collection, body))["statusCode"] == 201


def test_a_response_over_the_limit(start: Starting) -> None:
    function = start("ApiFunction")
    collection = collection_of(function)
    # A quote in a document is two bytes in the answer, and four on its way out.
    for at in range(2):
        body = {"ids": [str(at)], "embeddings": [[1, 0, 0, 0]], "documents": ['"' * 760_000]}
        answer(function.invoke(with_body("api-add", collection, body)))

    def got(coding: str, **more: Any) -> dict[str, Any]:
        asked = with_body("api-get", collection, more)
        return dict(function.invoke({**asked, "headers": {**asked["headers"], "accept-encoding": coding}}))

    assert len(answer(got("identity", limit=1))["documents"]) == 1
    too_large = got("identity", ids=["0", "1"], include=["documents"])
    assert answer(got("gzip"))["ids"] == ["0", "1"]
    assert too_large["statusCode"] == 200
    assert len(json.dumps(too_large, ensure_ascii=False)) < LAMBDA_DEFAULTS.max_response_bytes + 2_000
    body = {"ids": ["2"], "embeddings": [[1, 0, 0, 0]], "documents": ['"' * 50_000]}
    answer(function.invoke(with_body("api-add", collection, body)))
    refused = got("identity")
    assert refused["statusCode"] == 413
    assert "limit and offset" in json.loads(refused["body"])["message"]


def test_a_response_over_the_limit_of_lambda_ends_the_container(start: Starting) -> None:
    function = start("ApiFunction", {"AFTERGLOW_MAX_RESPONSE_BYTES": "0", "AFTERGLOW_COMPRESS_MIN_BYTES": "0"})
    collection = collection_of(function)
    for at in range(2):
        body = {"ids": [str(at)], "embeddings": [[1, 0, 0, 0]], "documents": ['"' * 800_000]}
        answer(function.invoke(with_body("api-add", collection, body)))
    with pytest.raises(TooLarge):
        function.invoke(with_body("api-get", collection, {"include": ["documents"]}))
    # The runtime client ends the process, so the next caller waits for another start.
    with pytest.raises(Failed, match="Failed to post invocation response"):
        function.invoke(event("api-count", collection))


def test_time_runs_out(tmp_path: Path) -> None:
    folder = tmp_path / "sleeper"
    folder.mkdir()
    (folder / "app.py").write_text("import time\n\ndef handler(event, context):\n    time.sleep(event)\n")
    with Function(folder, [], {}, tmp_path / "log", seconds=0.5) as function:
        assert function.invoke(0) is None
        with pytest.raises(TimedOut):
            function.invoke(60)
        with pytest.raises(Failed, match="ended"):
            function.invoke(0)


def test_a_trace_contains_the_aws_calls(start: Starting) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind((HOST, 0))
        daemon.settimeout(10)
        traced = {
            "POWERTOOLS_TRACE_DISABLED": "false",
            "POWERTOOLS_SERVICE_NAME": "afterglow-api",
            "AWS_XRAY_DAEMON_ADDRESS": f"{HOST}:{daemon.getsockname()[1]}",
        }
        function = start("ApiFunction", traced, sampled=True)
        answer(function.invoke(event("api-list-collections")))
        segments: list[dict[str, Any]] = []
        while not segments or segments[-1]["name"] != "## handler":
            segments.append(json.loads(daemon.recv(65_536).split(b"\n", 1)[1]))
    annotations = segments[-1]["annotations"]
    assert annotations == {"operation": "collections.list_all", "ColdStart": True, "Service": "afterglow-api"}
    assert {segment["name"] for segment in segments[:-1]} == {"dynamodb"}
    assert {segment["aws"]["operation"] for segment in segments[:-1]} == {"GetItem", "Query"}


def test_a_restored_snapshot_serves_requests(start: Starting) -> None:
    first = start("ApiFunction")
    collection = collection_of(first)
    answer(first.invoke(event("api-add", collection)))
    function = start("ApiFunction", snap_start=True)
    function.restore()
    found = answer(function.invoke(event("api-query", collection)))
    print(f"restored in {function.restore_ms:.1f} ms, first query in {function.call_ms:.1f} ms")
    assert found["ids"] == [["package-0", "package-1"]]
    line = function.lines()[-1]
    assert line["cold"] is True
    assert function.restore_ms < 500
