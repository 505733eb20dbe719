"""The function of the importer: files that are put become records, once, whatever is delivered how often."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from afterglow.bulk.types import ImportReport
from afterglow.errors import Unavailable
from tests.aws_lambda.conftest import Lines
from tests.bulk import files
from tests.bulk.files import FORMATS, expected, sample
from tests.functions.loading import Context, event, loaded, variables
from tests.support import aws

pytestmark = pytest.mark.slow

FOLDER = "imports/default_tenant/default_database/imported/"
OF = sample(40)


@dataclass
class Environment:
    """The function, the bucket, and the queue between."""

    function: ModuleType
    bucket: str
    queue: str
    sqs: Any
    s3: Any

    def put(self, path: Path, name: str | None = None) -> str:
        key = FOLDER + (name or path.name)
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=path.read_bytes())
        return key

    def notification(self, key: str) -> str:
        """The message of S3 about a key."""
        message = json.loads(event("importer-put")["Records"][0]["body"])
        message["Records"][0]["s3"]["object"]["key"] = key.replace(" ", "+")
        return json.dumps(message)

    def deliver(self, *bodies: str, tries: int = 1, milliseconds: int = 300_000) -> list[str]:
        """Invoke the function with each; the numbers of those that failed."""
        failed = []
        for number, body in enumerate(bodies):
            given = deepcopy(event("importer-put"))
            record = given["Records"][0]
            record["body"], record["messageId"] = body, str(number)
            record["attributes"]["ApproximateReceiveCount"] = str(tries)
            answer = self.function.handler(given, Context(milliseconds))
            failed += [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
        return failed

    def waiting(self) -> list[str]:
        """What the function sent to itself; taken from the queue."""
        bodies: list[str] = []
        while found := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                bodies.append(message["Body"])
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    def run(self, key: str, *, twice: bool = False) -> None:
        """Deliver until nothing waits."""
        waiting = [self.notification(key)]
        while waiting:
            assert not self.deliver(*waiting, *(waiting if twice else ()))
            waiting = self.waiting()

    def reports(self) -> list[ImportReport]:
        return list(self.function.import_store.list("default_tenant", "default_database"))

    def contents(self) -> dict[str, tuple[Any, ...]]:
        at = files.ImportFixture(
            self.function.stores, self.function.import_context.sink.engine, self.function.import_context
        )
        return at.contents()

    def appended(self) -> int:
        at = files.ImportFixture(
            self.function.stores, self.function.import_context.sink.engine, self.function.import_context
        )
        return at.appended()


@pytest.fixture
def env(tmp_path: Path, lines: Lines) -> Iterator[Environment]:
    with aws.moto_aws():
        made = aws.make()
        session: Any = aws.new_session()
        sqs, s3 = session.create_client("sqs"), session.create_client("s3")
        queue = sqs.create_queue(QueueName="imports")["QueueUrl"]
        environment = {
            **variables(made, tmp_path / "importer"),
            "AFTERGLOW_IMPORT_QUEUE": queue,
            "AFTERGLOW_IMPORT_RANGE_BYTES": "3000",
        }
        with loaded("importer", environment) as function:
            function.import_context.sink.engine.catalog.ensure_defaults()
            yield Environment(function, made.bucket, queue, sqs, s3)
        sqs.close()
        s3.close()


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_file_that_is_put(name: str, env: Environment, tmp_path: Path) -> None:
    path = FORMATS[name](OF, tmp_path)
    if name == "npy":
        env.put(path.with_suffix(".npy"))
    env.run(env.put(path, f"some {path.name}" if name != "npy" else None))
    (report,) = env.reports()
    assert (report.state, report.reason, report.rows, report.rejected) == ("done", None, 40, 0)
    assert env.contents() == expected(OF)
    assert env.appended() == 40


def test_every_message_twice_and_the_file_again(env: Environment, tmp_path: Path) -> None:
    key = env.put(files.write_jsonl(OF, tmp_path))
    env.run(key, twice=True)
    env.run(key)
    assert [report.state for report in env.reports()] == ["done"]
    assert env.contents() == expected(OF)
    assert env.appended() == 40


def test_a_matrix_that_comes_last(env: Environment, tmp_path: Path) -> None:
    path = files.write_pair(OF, tmp_path)
    env.run(env.put(path))
    assert [report.state for report in env.reports()] == ["failed"]
    env.run(env.put(path.with_suffix(".npy")))
    assert sorted(report.state for report in env.reports()) == ["done", "failed"]
    assert env.contents() == expected(OF)


def test_time_runs_out(env: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.write_csv(OF, tmp_path)
    path.with_name(path.name + ".import.json").write_text('{"batch_size": 7}')
    env.put(path.with_name(path.name + ".import.json"))
    waiting, rounds = [env.notification(env.put(path))], 0
    while waiting:
        assert not env.deliver(*waiting, milliseconds=10_000)
        waiting = env.waiting()
        rounds += 1
    assert rounds > 5
    assert env.contents() == expected(OF)
    assert env.appended() == 40


def test_what_is_no_file_to_import(env: Environment, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"{}")
    keys = [
        *(
            "imports/.status/default_tenant/other_database/0/plan.json",
            "imports/records.jsonl",
            "other/a/b/c/d.jsonl",
        ),
        FOLDER + "records.jsonl.import.json",
        FOLDER + "gone.jsonl",
    ]
    for key in keys[:-1]:
        env.s3.put_object(Bucket=env.bucket, Key=key, Body=b"{}")
    test_message = '{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}'
    assert not env.deliver(*map(env.notification, keys), test_message)
    assert env.reports() == []
    env.run(env.put(path, "notes.txt"))
    (report,) = env.reports()
    assert report.state == "failed"
    assert "files with this name are not imported" in (report.reason or "")


def test_a_database_that_is_not_there(env: Environment, tmp_path: Path) -> None:
    path = files.write_jsonl(OF, tmp_path)
    key = "imports/default_tenant/no_database/imported/records.jsonl"
    env.s3.put_object(Bucket=env.bucket, Key=key, Body=path.read_bytes())
    env.run(key)
    (report,) = env.function.import_store.list("default_tenant", "no_database")
    assert "no_database" in report.reason


def test_what_fails_is_delivered_again_and_in_the_end_given_up(
    env: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = env.put(files.write_jsonl(OF, tmp_path))
    env.deliver(env.notification(key))
    waiting = env.waiting()
    assert len(waiting) > 2

    def refused(*_: object, **__: object) -> None:
        raise Unavailable("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(type(env.function.import_context.store), "range_progress", refused)
        assert env.deliver(*waiting) == [str(number) for number in range(len(waiting))]
    assert not env.deliver(waiting[0])
    with monkeypatch.context() as patched:
        patched.setattr(type(env.function.import_context.store), "range_progress", refused)
        assert env.deliver(waiting[1], tries=3) == ["0"]
    (report,) = env.reports()
    assert (report.state, report.ranges_done) == ("failed", 1)
    assert "an invocation failed each time" in (report.reason or "")
    assert not env.deliver(*waiting)
    assert 0 < env.appended() < 40
    assert env.deliver("no message") == ["0"]
