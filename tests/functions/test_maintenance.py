"""The function of the janitor, by the events of its schedules."""

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
        made = aws.make()
        engine = open_engine(
            open_aws(made.settings(LAMBDA_DEFAULTS, tmp_path / "api"), System()),
            made.settings(LAMBDA_DEFAULTS, tmp_path / "api"),
            System(),
        )
        stored = schema.reconcile(None, None, None)
        collection = engine.create_collection("default_tenant", "default_database", "one", None, stored)
        scope = Scope("default_tenant", "default_database", collection.id)
        engine.write(scope, Batch(Op.ADD, ["a", "b"], np.ones((2, 8), dtype=np.float32)))
        with loaded("janitor", variables(made, tmp_path / "janitor")) as module:
            yield module


def test_a_tail_is_nudged_once(function: ModuleType, lines: Lines) -> None:
    for _ in range(2):  # the second message is the first one's duplicate
        swept = function.handler(event("janitor-nudge"), Context())
        assert (swept["collections"], swept["nudged"], swept["unindexed_ops"]) == (1, 1, 2)
    line = next(each for each in lines() if each["message"] == "invoked")
    assert line["UnindexedTail"] == 2
    found = function.clients.sqs.receive_message(QueueUrl=function.settings.queue, MaxNumberOfMessages=10)
    assert len(found["Messages"]) == 1


def test_tidying_up(function: ModuleType, lines: Lines) -> None:
    swept = function.handler(event("janitor-tidy"), Context())
    assert (swept["collections"], swept["damaged"]) == (1, 0)
    line = next(each for each in lines() if each["message"] == "invoked")
    assert line["DamagedObjects"] == 0


def test_no_time_left_is_no_turn(function: ModuleType) -> None:
    swept = function.handler(event("janitor-nudge"), Context(milliseconds=20_000))
    assert swept["collections"] == 0


def test_an_event_without_a_task_is_refused(function: ModuleType) -> None:
    with pytest.raises(InvalidArgument, match="the task is nudge or tidy, not None"):
        function.handler({}, Context())
