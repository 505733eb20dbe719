"""The function of the API answers every event of `events/` that is meant for it, over moto."""

import base64
import json
import zlib
from types import ModuleType
from typing import Any

import pytest

from afterglow.storage.readers import FORMAT, PARTITION
from tests.aws_lambda.conftest import Lines
from tests.functions.loading import EVENTS, Context, event

STORY = (
    "heartbeat",
    "pre-flight-checks",
    "identity",
    "create-collection",
    "get-collection",
    "list-collections",
    "add",
    "add-base64",
    "count",
    "query",
    "query-filtered",
    "update",
    "upsert",
    "get",
    "indexing-status",
    "delete",
    "delete-collection",
)
"""The events in the order in which a client sends them."""


def answer(function: ModuleType, sent: dict[str, Any]) -> Any:
    """The answer's JSON; the status is a good one."""
    got = function.handler(sent, Context())
    assert got["statusCode"] in {200, 201}, got
    assert got["headers"]["content-type"] == "application/json"
    return json.loads(got["body"])


def test_every_event_is_in_the_story() -> None:
    assert {path.stem for path in EVENTS.glob("api-*.json")} == {f"api-{name}" for name in STORY}


def test_the_story(function: ModuleType, lines: Lines) -> None:
    answers: dict[str, Any] = {}
    for name in STORY:
        collection = answers.get("create-collection", {}).get("id", "")
        answers[name] = answer(function, event(f"api-{name}", collection))
        if name == "query":
            answers["by url"] = answer(function, event("url-query", collection))
    created = answers["create-collection"]
    assert answers["get-collection"] == created
    assert answers["list-collections"] == [created]
    assert answers["pre-flight-checks"]["max_batch_size"] == function.settings.max_batch_size
    assert answers["count"] == 3
    assert answers["query"]["ids"] == [["package-0", "package-1"]]
    assert answers["by url"] == answers["query"]
    assert answers["query-filtered"]["ids"] == [["package-1"]]
    got = answers["get"]
    assert got["ids"] == ["package-1", "package-2"]
    assert got["embeddings"][1] == pytest.approx([-0.3, 0.72, 0.11, 0.6])
    assert answers["indexing-status"]["total_ops"] == 5
    assert answers["delete"] == {"deleted": 1}
    logged = lines()
    assert [line["operation"] for line in logged].count("records.add") == 2
    assert {line["message"] for line in logged} == {"invoked"}
    query = next(line for line in logged if line["operation"] == "records.query")
    assert (query["collection"], query["rows"], query["queries"]) == (created["id"], 2, 1)
    assert query["calls"] == {"dynamodb.Query": 1}


def test_the_function_url(function: ModuleType) -> None:
    assert answer(function, event("url-heartbeat")).keys() == {"nanosecond heartbeat"}


def test_the_usage_of_a_warm_query_is_in_its_header(function: ModuleType) -> None:
    collection = answer(function, event("api-create-collection"))["id"]
    answer(function, event("api-add", collection))
    answer(function, event("api-query", collection))
    got = function.handler(event("api-query", collection), Context())
    usage = got["headers"]["afterglow-usage"]
    assert usage.startswith("dynamodb.Query=1, read-units=")
    assert usage.endswith("write-units=0, bytes-read=0, bytes-written=0")


def test_changes_come_at_once(function: ModuleType) -> None:
    collection = answer(function, event("api-create-collection"))["id"]
    answer(function, event("api-add", collection))
    sent = event("api-count", collection)
    path = sent["rawPath"].replace("/count", "/changes")
    for after, positions in ((0, [1]), (1, [])):
        request = {**sent, "rawPath": path, "rawQueryString": f"after={after}&wait=60"}
        got = function.handler(request, Context())
        assert (got["statusCode"], got["headers"]["content-type"]) == (200, "application/x-ndjson")
        assert [json.loads(line)["position"] for line in got["body"].splitlines()] == positions
        request["headers"] = {**sent["headers"], "accept": "text/event-stream"}
        got = function.handler(request, Context())
        assert got["headers"]["content-type"] == "text/event-stream"
        assert got["body"].count("data: ") == len(positions)


def test_a_name_with_anything_in_it(function: ModuleType) -> None:
    sent = event("url-heartbeat")
    for name, raw in (("a/b", "a%2Fb"), ("100%", "100%25"), ("é ü", "%C3%A9%20%C3%BC")):
        body = json.dumps({"name": name})
        request = {**sent["requestContext"], "http": {**sent["requestContext"]["http"], "method": "POST"}}
        answer(function, {**sent, "rawPath": "/api/v2/tenants", "body": body, "requestContext": request})
        assert answer(function, {**sent, "rawPath": f"/api/v2/tenants/{raw}"}) == {"name": name, "resource_name": None}


def test_a_large_answer_leaves_compressed(function: ModuleType) -> None:
    collection = answer(function, event("api-create-collection"))["id"]
    body = json.dumps({"ids": ["a"], "embeddings": [[1, 0, 0, 0]], "documents": ["word " * 20_000]})
    answer(function, {**event("api-add", collection), "body": body})
    got = function.handler({**event("api-get", collection), "body": '{"ids":["a"]}'}, Context())
    assert got["headers"]["content-encoding"] == "gzip"
    assert got["isBase64Encoded"] is True
    packed = base64.b64decode(got["body"])
    assert len(packed) < 2_000
    assert json.loads(zlib.decompress(packed, 31))["documents"] == ["word " * 20_000]


def test_what_is_too_large_says_what_to_do(function: ModuleType) -> None:
    collection = answer(function, event("api-create-collection"))["id"]
    body = " " * (function.settings.max_body_bytes + 1)
    got = function.handler({**event("api-add", collection), "body": body}, Context())
    assert got["statusCode"] == 413
    assert f"max_batch_size is {function.settings.max_batch_size}" in json.loads(got["body"])["message"]


def test_a_table_that_is_gone(function: ModuleType) -> None:
    function.clients.dynamodb.delete_table(TableName=function.settings.table)
    got = function.handler(event("api-list-collections"), Context())
    assert got["statusCode"] == 503
    assert int(got["headers"]["retry-after"]) >= 1
    assert function.settings.table in json.loads(got["body"])["message"]


def test_a_container_registers_as_a_reader_when_it_starts(function: ModuleType) -> None:
    registered = function.engine.stores.table.query(PARTITION)
    assert [int(item.sk) for item in registered] == [FORMAT]
