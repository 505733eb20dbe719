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
from afterglow.collection.changes.position import ChangePosition
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, Scope, Selection
from afterglow.collection.write.functions import FunctionRequest
from afterglow.deployment.aws import open_aws
from afterglow.errors import Unavailable
from afterglow.log.batch import Batch, Op
from afterglow.metering import collect_usage
from afterglow.settings import LAMBDA_DEFAULTS, System
from tests.aws_lambda.conftest import Lines
from tests.functions.loading import Context, event, loaded, variables
from tests.support import aws


@dataclass
class Environment:
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

    def flushed_ops(self, scope: Scope) -> int:
        return Replica(self.function.stores, scope.collection).snapshot().manifest.flushed_ops


@pytest.fixture
def env(tmp_path: Path, lines: Lines) -> Iterator[Environment]:
    with aws.moto_aws():
        made = aws.make()
        with loaded("indexer", variables(made, tmp_path / "indexer")) as function:
            yield Environment(
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
        record = deepcopy(event("indexer-message", str(scope.collection))["Records"][0])
        records.append({**record, "messageId": f"message-{number}"})
    return {"Records": records}


def test_a_message_flushes_the_log(env: Environment, lines: Lines) -> None:
    scope = env.collection("one", 50)
    assert env.function.handler(messages(scope), Context()) == {"batchItemFailures": []}
    assert env.flushed_ops(scope) == 50
    line = next(line for line in lines() if line["message"] == "invoked")
    assert (line["collection"], line["flushed_ops"], line["UnflushedOps"]) == (str(scope.collection), 50, 0)
    assert line["FlushLagSeconds"] >= 0
    assert line["calls"]["s3.PutObject"] > 3
    assert env.engine.get(scope, Selection(), None, 0, frozenset()).ids == [f"{number}" for number in range(50)]


@pytest.mark.slow
def test_what_expired_is_deleted(env: Environment, lines: Lines) -> None:
    metadata = {"afterglow:ttl_key": "until"}
    stored = schema.reconcile(None, None, None)
    made = env.engine.create_collection("default_tenant", "default_database", "expiring", metadata, stored)
    scope = Scope("default_tenant", "default_database", made.id)
    metadatas = [{"until": 1}, {"until": 2}, {"until": 2**40}]
    env.engine.write(scope, Batch(Op.ADD, list("abc"), np.ones((3, 8), dtype=np.float32), metadatas=metadatas))
    assert env.engine.count(scope).count == 1
    sent = messages(scope)
    sent["Records"][0]["body"] = json.dumps({"group": str(scope.collection), "body": "idle"})
    assert env.function.handler(sent, Context()) == {"batchItemFailures": []}
    view = Replica(env.function.stores, scope.collection).snapshot()
    assert (view.records, view.manifest.flushed_ops, view.collection.next_expiry) == (1, 5, 2**40)
    assert next(line for line in lines() if line["message"] == "invoked")["expired"] == 2
    assert env.engine.get(scope, Selection(), None, 0, frozenset()).ids == ["c"]


def idle_message(scope: Scope, reason: str = "idle") -> dict[str, Any]:
    sent = messages(scope)
    sent["Records"][0]["body"] = json.dumps({"group": str(scope.collection), "body": reason})
    return sent


def test_an_attached_function_runs_after_the_flush(env: Environment) -> None:
    scope = env.collection("counted", 5)
    function, _ = env.engine.attach_function(scope, FunctionRequest("f", "record_counter", "counted-output"))
    assert env.function.handler(idle_message(scope, "idle function 1"), Context()) == {"batchItemFailures": []}
    assert env.engine.get_function(scope, "f").completion_offset == 1
    output = Scope(scope.tenant, scope.database, function.output_id)
    found = env.engine.get(output, Selection(), None, 0, frozenset({Include.METADATAS}))
    assert (found.ids, found.metadatas) == (["function_output"], [b'{"total_count":5}'])


@pytest.mark.slow
def test_changes_are_read_from_the_bucket_once_the_log_is_trimmed(env: Environment) -> None:
    scope = env.collection("followed", 5)
    assert env.function.handler(idle_message(scope), Context()) == {"batchItemFailures": []}
    env.engine.write(scope, Batch(Op.DELETE, ["1"]))
    with collect_usage() as usage:
        page = env.engine.changes(scope, ChangePosition(0), 10, 10**6)
    lines = [json.loads(line.content) for line in page.lines]
    assert [(line["position"], line["operation"], line["total"]) for line in lines] == [(1, "add", 5), (2, "delete", 1)]
    assert {name: usage.calls[name] for name in ("s3.ListObjectsV2", "s3.GetObject")} == {
        "s3.ListObjectsV2": 1,
        "s3.GetObject": 1,
    }
    with collect_usage() as usage:
        assert env.engine.changes(scope, ChangePosition(2), 10, 10**6).lines == []
    assert sum(usage.calls.values()) <= 3
    assert usage.read_units <= 3


def test_a_message_that_comes_twice_is_done_twice_without_harm(env: Environment) -> None:
    scope = env.collection("one", 50)
    for _ in range(2):
        assert env.function.handler(messages(scope, scope), Context()) == {"batchItemFailures": []}
    assert env.flushed_ops(scope) == 50


@pytest.mark.slow
def test_a_poison_message_fails_alone(env: Environment) -> None:
    scope = env.collection("one", 50)
    sent = messages(scope, scope)
    sent["Records"][0] |= {"body": "poison", "messageId": "poison"}
    sent["Records"][0]["attributes"]["MessageGroupId"] = "poison"
    answer = env.function.handler(sent, Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "poison"}]}
    assert env.flushed_ops(scope) == 50


def test_after_a_failure_the_rest_of_its_group_waits_and_others_do_not(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = env.collection("broken", 5), env.collection("sound", 5)
    handle = env.function.handle

    def failing(stores: Any, body: str, **options: Any) -> Any:
        if str(broken.collection) in body:
            raise Unavailable("S3 does not answer")
        return handle(stores, body, **options)

    monkeypatch.setattr(env.function, "handle", failing)
    answer = env.function.handler(messages(broken, sound, broken), Context())
    failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    assert failed == ["message-0", "message-2"]
    assert (env.flushed_ops(broken), env.flushed_ops(sound)) == (0, 5)


@pytest.mark.slow
def test_a_flush_notifies_the_compactor_on_its_own_queue(tmp_path: Path, lines: Lines) -> None:
    with aws.moto_aws():
        made, compactor = aws.make(), aws.make("compactor")
        given = {**variables(made, tmp_path / "indexer"), "AFTERGLOW_COMPACTION_QUEUE": compactor.queue}
        with loaded("indexer", given) as function:
            settings = made.settings(LAMBDA_DEFAULTS, tmp_path / "api")
            env = Environment(function, open_engine(open_aws(settings, System()), settings, System()))
            scope = env.collection("one", 5_000)
            sent = messages(scope)
            sent["Records"][0]["body"] = json.dumps({"group": str(scope.collection), "body": "idle 1"})
            assert function.handler(sent, Context()) == {"batchItemFailures": []}
            sqs = function.clients.sqs
            purposes = []
            while found := sqs.receive_message(QueueUrl=made.queue).get("Messages", []):
                purposes += [json.loads(message["Body"])["group"] for message in found]
            assert not [group for group in purposes if ":compact" in group]
            (message,) = sqs.receive_message(QueueUrl=compactor.queue)["Messages"]
            assert json.loads(message["Body"])["group"] == f"{scope.collection}:compact"
            sent["Records"][0]["body"] = message["Body"]
            assert function.handler(sent, Context()) == {"batchItemFailures": []}
            assert [line["compactions"] for line in lines() if line["message"] == "invoked"] == [0, 1]


@pytest.mark.slow
def test_short_of_time_it_stops_and_goes_on_by_another_message(env: Environment) -> None:
    scope = env.collection("one", 50)
    answer = env.function.handler(messages(scope), Context(milliseconds=30_000))
    assert answer == {"batchItemFailures": []}
    assert env.flushed_ops(scope) == 0
    queue, sqs = env.function.settings.queue, env.function.clients.sqs
    (left,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(left["Body"])["group"] == str(scope.collection)
    sent = messages(scope)
    sent["Records"][0]["body"] = left["Body"]
    assert env.function.handler(sent, Context()) == {"batchItemFailures": []}
    assert env.flushed_ops(scope) == 50
