"""The maintenance function, invoked with the events of its schedules."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from afterglow.aws_lambda.engine import open_engine
from afterglow.catalog import schema
from afterglow.collection.types import Scope
from afterglow.deployment.aws import open_aws
from afterglow.errors import InvalidArgument
from afterglow.log.batch import Batch, Op
from afterglow.settings import LAMBDA_DEFAULTS, System
from tests.aws_lambda.conftest import Lines
from tests.functions.loading import Context, event, loaded, variables
from tests.support import aws


@pytest.fixture
def function(tmp_path: Path, lines: Lines) -> Iterator[ModuleType]:
    with aws.moto_aws():
        account = aws.make()
        engine = open_engine(
            open_aws(account.settings(LAMBDA_DEFAULTS, tmp_path / "api"), System()),
            account.settings(LAMBDA_DEFAULTS, tmp_path / "api"),
            System(),
        )
        stored = schema.reconcile(None, None, None)
        collection = engine.create_collection("default_tenant", "default_database", "one", None, stored)
        scope = Scope("default_tenant", "default_database", collection.id)
        engine.write(scope, Batch(Op.ADD, ["a", "b"], np.ones((2, 8), dtype=np.float32)))
        with loaded("maintenance", variables(account, tmp_path / "maintenance")) as module:
            yield module


@pytest.mark.slow
def test_a_collection_with_unflushed_operations_is_enqueued_once(function: ModuleType, lines: Lines) -> None:
    for _ in range(2):  # the queue deduplicates the second message
        report = function.handler(event("maintenance-enqueue-stale"), Context())
        assert (report["collections"], report["enqueued"], report["unflushed_ops"]) == (1, 1, 2)
    line = next(line for line in lines() if line["message"] == "invoked")
    assert line["UnflushedOps"] == 2
    assert line["UnflushedBytes"] > 2 * 8 * 4
    found = function.clients.sqs.receive_message(QueueUrl=function.settings.queue, MaxNumberOfMessages=10)
    assert len(found["Messages"]) == 1


def test_clean_up(function: ModuleType, lines: Lines) -> None:
    report = function.handler(event("maintenance-clean-up"), Context())
    assert (report["collections"], report["damaged"]) == (1, 0)
    line = next(line for line in lines() if line["message"] == "invoked")
    assert line["DamagedObjects"] == 0


@pytest.mark.slow
def test_a_run_without_time_visits_no_collection(function: ModuleType) -> None:
    report = function.handler(event("maintenance-enqueue-stale"), Context(milliseconds=20_000))
    assert report["collections"] == 0


def test_an_event_without_a_task_is_rejected(function: ModuleType) -> None:
    with pytest.raises(InvalidArgument, match="expected task enqueue_stale or clean_up, got None"):
        function.handler({}, Context())
