"""The function of the indexer: messages become segments; what fails is delivered again, the rest of it is not."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from afterglow.aws_lambda.engine import open_engine
from afterglow.catalog import schema
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope, Selection
from afterglow.deployment.aws import open_aws
from afterglow.errors import Unavailable
from afterglow.log.batch import Batch, Op
from afterglow.settings import LAMBDA_DEFAULTS, System
from tests.aws_lambda.conftest import Lines
from tests.functions.loading import Context, event, loaded, variables
from tests.support import aws


@dataclass
class World:
    """The function, and the API beside it."""

    function: ModuleType
    engine: Engine

    def collection(self, name: str, count: int) -> Scope:
        stored = schema.reconcile(None, None, None)
        made = self.engine.create_collection("default_tenant", "default_database", name, None, stored)
        scope = Scope("default_tenant", "default_database", made.id)
        names = [f"{number}" for number in range(count)]
        self.engine.write(scope, Batch(Op.ADD, names, np.ones((count, 8), dtype=np.float32)))
        return scope

    def folded(self, scope: Scope) -> int:
        return Replica(self.function.stores, scope.collection).snapshot().manifest.flushed_ops


@pytest.fixture
def world(tmp_path: Path, lines: Lines) -> Iterator[World]:
    with aws.moto_aws():
        made = aws.make()
        with loaded("indexer", variables(made, tmp_path / "indexer")) as function:
            yield World(
                function,
                open_engine(
                    open_aws(made.settings(LAMBDA_DEFAULTS, tmp_path / "api"), System()),
                    made.settings(LAMBDA_DEFAULTS, tmp_path / "api"),
                    System(),
                ),
            )


def messages(*scopes: Scope) -> dict[str, Any]:
    """One event with a message for each."""
    records = []
    for number, scope in enumerate(scopes):
        record = deepcopy(event("indexer-nudge", str(scope.collection))["Records"][0])
        records.append({**record, "messageId": f"message-{number}"})
    return {"Records": records}


def test_the_event_is_answered_and_the_log_folded(world: World, lines: Lines) -> None:
    scope = world.collection("one", 50)
    assert world.function.handler(messages(scope), Context()) == {"batchItemFailures": []}
    assert world.folded(scope) == 50
    line = next(each for each in lines() if each["message"] == "invoked")
    assert (line["collection"], line["folded_ops"], line["UnindexedTail"]) == (str(scope.collection), 50, 0)
    assert line["FoldLag"] >= 0
    assert line["calls"]["s3.PutObject"] > 3
    assert world.engine.get(scope, Selection(), None, 0, frozenset()).ids == [f"{number}" for number in range(50)]


def test_what_expired_is_deleted(world: World, lines: Lines) -> None:
    metadata = {"afterglow:ttl_key": "until"}
    stored = schema.reconcile(None, None, None)
    made = world.engine.create_collection("default_tenant", "default_database", "expiring", metadata, stored)
    scope = Scope("default_tenant", "default_database", made.id)
    metadatas = [{"until": 1}, {"until": 2}, {"until": 2**40}]
    world.engine.write(scope, Batch(Op.ADD, list("abc"), np.ones((3, 8), dtype=np.float32), metadatas=metadatas))
    assert world.engine.count(scope).count == 1
    sent = messages(scope)
    sent["Records"][0]["body"] = json.dumps({"group": str(scope.collection), "body": "quiet"})
    assert world.function.handler(sent, Context()) == {"batchItemFailures": []}
    view = Replica(world.function.stores, scope.collection).snapshot()
    assert (view.records, view.manifest.flushed_ops, view.collection.next_expiry) == (1, 5, 2**40)
    assert next(each for each in lines() if each["message"] == "invoked")["expired"] == 2
    assert world.engine.get(scope, Selection(), None, 0, frozenset()).ids == ["c"]


def test_a_message_that_comes_twice_is_done_twice_without_harm(world: World) -> None:
    scope = world.collection("one", 50)
    for _ in range(2):
        assert world.function.handler(messages(scope, scope), Context()) == {"batchItemFailures": []}
    assert world.folded(scope) == 50


def test_a_poison_message_fails_alone(world: World) -> None:
    scope = world.collection("one", 50)
    sent = messages(scope, scope)
    sent["Records"][0] |= {"body": "poison", "messageId": "poison"}
    sent["Records"][0]["attributes"]["MessageGroupId"] = "poison"
    answer = world.function.handler(sent, Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "poison"}]}
    assert world.folded(scope) == 50


def test_after_a_failure_the_rest_of_its_group_waits_and_others_do_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = world.collection("broken", 5), world.collection("sound", 5)
    work_on = world.function.work_on

    def failing(stores: Any, body: str, **options: Any) -> Any:
        if str(broken.collection) in body:
            raise Unavailable("S3 does not answer")
        return work_on(stores, body, **options)

    monkeypatch.setattr(world.function, "work_on", failing)
    answer = world.function.handler(messages(broken, sound, broken), Context())
    failed = [each["itemIdentifier"] for each in answer["batchItemFailures"]]
    assert failed == ["message-0", "message-2"]
    assert (world.folded(broken), world.folded(sound)) == (0, 5)


def test_short_of_time_it_stops_and_goes_on_by_another_message(world: World) -> None:
    scope = world.collection("one", 50)
    answer = world.function.handler(messages(scope), Context(milliseconds=30_000))
    assert answer == {"batchItemFailures": []}
    assert world.folded(scope) == 0
    queue, sqs = world.function.settings.queue, world.function.clients.sqs
    (left,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(left["Body"])["group"] == str(scope.collection)
    sent = messages(scope)
    sent["Records"][0]["body"] = left["Body"]
    assert world.function.handler(sent, Context()) == {"batchItemFailures": []}
    assert world.folded(scope) == 50
