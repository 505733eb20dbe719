"""What the clients of a deployed server hear when DynamoDB, S3 or SQS throttle or fail: soon, and what to do."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

from tests.aws_lambda.conftest import Lines
from tests.functions.loading import Context, event, loaded, variables
from tests.support.aws import make, moto_aws
from tests.support.fault_injection import (
    Fault,
    FaultInjector,
    error_response,
    response_lost,
    skip_botocore_pauses,
    unreachable,
)

pytestmark = pytest.mark.slow

THROTTLED = error_response(400, "ThrottlingException")
SLOW_DOWN = error_response(503, "SlowDown")
FAILED = error_response(500, "InternalServerError")


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines) -> Iterator[ModuleType]:
    skip_botocore_pauses(monkeypatch)
    with moto_aws(), loaded("api", {**variables(make(), tmp_path), "AFTERGLOW_LOG_INLINE_MAX_BYTES": "100"}) as module:
        yield module


@pytest.fixture
def collection(function: ModuleType) -> str:
    made = json.loads(function.handler(event("api-create-collection"), Context())["body"])
    ask(function, "api-add", made["id"])
    return str(made["id"])


def ask(function: ModuleType, name: str, collection: str) -> dict[str, Any]:
    answer: dict[str, Any] = function.handler(event(name, collection), Context())
    return answer


@pytest.mark.parametrize(
    ("service", "operation", "fault", "name", "status"),
    [
        ("dynamodb", "Query", THROTTLED, "api-query", 429),
        ("dynamodb", "Query", FAILED, "api-query", 503),
        ("dynamodb", "Query", unreachable, "api-count", 503),
        ("dynamodb", "PutItem", THROTTLED, "api-upsert", 429),
        ("dynamodb", "PutItem", unreachable, "api-upsert", 503),
        ("dynamodb", "TransactWriteItems", THROTTLED, "api-create-collection", 429),
        ("s3", "PutObject", SLOW_DOWN, "api-upsert", 429),
        ("s3", "PutObject", unreachable, "api-upsert", 503),
        ("s3", "GetObject", SLOW_DOWN, "api-query", 429),
        ("s3", "GetObject", unreachable, "api-query", 503),
    ],
)
def test_transient_faults_get_a_time_to_retry(
    function: ModuleType, collection: str, service: str, operation: str, fault: Fault, name: str, status: int
) -> None:
    function.engine._reader.evict(UUID(collection))  # a read has to open the collection
    FaultInjector(getattr(function.clients, service)).plan(operation, *[fault] * 40)
    sent = event(name, collection)
    if name == "api-create-collection":
        sent["body"] = json.dumps({**json.loads(sent["body"]), "name": "another", "get_or_create": False})
    answer = function.handler(sent, Context())
    assert answer["statusCode"] == status, answer
    assert int(answer["headers"]["retry-after"]) >= 1
    assert json.loads(answer["body"])["error"] == ("Backoff" if status == 429 else "ChromaError")


def test_an_unavailable_queue_costs_no_write(function: ModuleType, collection: str) -> None:
    sabotage = FaultInjector(function.clients.sqs)
    sabotage.always("SendMessage", unreachable)
    for _ in range(130):
        assert ask(function, "api-upsert", collection)["statusCode"] == 200
    assert sabotage.attempts["SendMessage"] > 0


def test_a_lost_answer_of_a_write_is_no_conflict_and_no_second_write(function: ModuleType, collection: str) -> None:
    def operations() -> int:
        return int(json.loads(ask(function, "api-indexing-status", collection)["body"])["total_ops"])

    before = operations()
    FaultInjector(function.clients.dynamodb).plan("PutItem", response_lost, response_lost)
    assert ask(function, "api-upsert", collection)["statusCode"] == 200
    assert operations() == before + len(json.loads(event("api-upsert")["body"])["ids"])
