"""The story of a deployment: the template as it is, on an account that enforces IAM, used by the stock client.

AFTERGLOW_BENCH_CORPUS names a folder with another corpus, as for the bench; without it the shipped sample is tiled.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pytest

from afterglow.catalog import keys
from afterglow.log import entry as entries
from afterglow.log.entry import EntryKind
from afterglow.settings import AWS_DEFAULTS
from afterglow.storage.ports import Item
from tests.benchmarks import corpus as corpora
from tests.benchmarks.corpus import Corpus
from tests.benchmarks.ground_truth import GroundTruth
from tests.infra.templates import TEMPLATE
from tests.support.deployment import Deployment, client, sam, stack_of
from tests.support.ministack import MiniStack
from tests.support.wire import DATABASE

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

ROWS = 12_000
UNNOTICED = AWS_DEFAULTS.notify_every_ops // 2
"""Records of which no writer notifies the indexer."""
LAST = 60
"""Records written when everything else is indexed."""
QUERIES = 60
NEIGHBOURS = 10


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    folder = os.environ.get("AFTERGLOW_BENCH_CORPUS")
    return corpora.load(Path(folder) if folder else None, None if folder else ROWS)


@pytest.fixture
def chroma(deployed: Deployment) -> "Iterator[ClientAPI]":
    """The stock client."""
    with deployed.client() as client:
        yield client


@dataclass(frozen=True, slots=True)
class Story:
    """One collection of a deployment, and what its stores hold of it."""

    deployment: Deployment
    collection: "Collection"
    corpus: Corpus

    @property
    def _aws(self) -> MiniStack:
        return self.deployment.aws

    def add(self, start: int, end: int, batch: int) -> float:
        """Add rows of the corpus in batches; milliseconds that the slowest took."""
        slowest = 0.0
        for first in range(start, end, batch):
            rows = slice(first, min(first + batch, end))
            began = time.perf_counter()
            self.collection.add(
                ids=self.corpus.ids[rows],
                embeddings=self.corpus.embeddings[rows],
                metadatas=self.corpus.metadatas[rows],  # type: ignore[arg-type]
                documents=self.corpus.documents[rows],
            )
            slowest = max(slowest, (time.perf_counter() - began) * 1000)
        return slowest

    def query(self, where: dict[str, Any] | None = None) -> tuple[list[list[str]], list[list[float]]]:
        """The neighbours of the first queries, and their distances."""
        found = self.collection.query(
            query_embeddings=self.corpus.queries[:QUERIES],
            n_results=NEIGHBOURS,
            where=where,
            include=["distances"],
        )
        assert found["distances"] is not None
        return found["ids"], found["distances"]

    def recall(self, answers: Sequence[Sequence[str]], present: Callable[[int], bool] | None = None) -> float:
        """Recall of the answers to the first queries, among the rows that are `present`."""
        mask = None if present is None else np.array([present(row) for row in range(len(self.corpus))])
        return GroundTruth(self.corpus).recall(range(QUERIES), answers, [mask] * QUERIES, NEIGHBOURS)

    def objects(self) -> list[str]:
        """Keys in the bucket, without the collection they belong to."""
        pages = client(self._aws, "s3").get_paginator("list_objects_v2")
        prefix = f"{self.collection.id}/"
        found = pages.paginate(Bucket=self.deployment.outputs["Bucket"], Prefix=prefix)
        return [info["Key"].removeprefix(prefix) for page in found for info in page.get("Contents", [])]

    def log(self) -> list[EntryKind]:
        """What stands in each slot of the log."""
        pages = client(self._aws, "dynamodb").get_paginator("query")
        found = pages.paginate(
            TableName=self.deployment.outputs["Table"],
            KeyConditionExpression="pk = :pk AND begins_with(sk, :log)",
            ExpressionAttributeValues={
                ":pk": {"S": keys.collection(UUID(str(self.collection.id)))},
                ":log": {"S": entries.LOG},
            },
            ConsistentRead=True,
        )
        items = [
            Item(item["pk"]["S"], item["sk"]["S"], item["value"]["B"], int(item["version"]["N"]))
            for page in found
            for item in page["Items"]
        ]
        return [entries.decode(item).kind for item in items]

    def unindexed(self) -> int:
        """Operations that no segment holds."""
        return self.collection.get_indexing_status().num_unindexed_ops


def call(chroma: "ClientAPI", method: str, path: str, body: object = None) -> Any:
    """A request below the default database by the stock client's connection: what it has no method for."""
    server: Any = chroma._server  # type: ignore[attr-defined]
    return server._session.request(method, f"{server._api_url}{DATABASE.removeprefix('/api/v2')}{path}", json=body)


def invoke(deployment: Deployment, function: str, event: dict[str, Any]) -> Any:
    """Run a function of the stack as its schedule does."""
    answer = client(deployment.aws, "lambda").invoke(
        FunctionName=deployment.resources()[function], Payload=json.dumps(event).encode()
    )
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return payload


def eventually(what: Callable[[], bool], why: str, deployment: Deployment, seconds: float = 300) -> float:
    """Seconds until it was so. Raises AssertionError."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, f"{why}\n{deployment.aws.server.printed(20_000)}"
        time.sleep(0.25)
    return time.monotonic() - began


def test_the_template_is_valid(tmp_path: Path) -> None:
    assert "is a valid SAM Template" in sam("validate", "--lint", "--template", str(TEMPLATE), folder=tmp_path)


def test_strangers_are_let_in_nowhere(deployed: Deployment) -> None:
    assert deployed.status("/api/v2/heartbeat") == 200
    assert deployed.status("/api/v2/auth/identity") == 401


def test_the_story(
    deployed: Deployment, chroma: "ClientAPI", corpus: Corpus, record_property: Callable[[str, object], None]
) -> None:
    batch = chroma.get_max_batch_size()
    assert batch == 300

    # Without a notification of the indexer, queries read the log alone.
    story = Story(deployed, chroma.create_collection("packages"), corpus)
    story.add(0, UNNOTICED, batch)
    before = story.query()
    assert story.recall(before[0], lambda row: row < UNNOTICED) == 1.0
    assert story.unindexed() == UNNOTICED
    assert not [key for key in story.objects() if "/log/" not in f"/{key}"]

    # The maintenance job enqueues what no writer did; results stay the same.
    # Those of other tests may be among them.
    assert invoke(deployed, "MaintenanceFunction", {"task": "enqueue_stale"})["enqueued"] >= 1
    eventually(lambda: story.unindexed() == 0, "the enqueued message led to nothing", deployed)
    after = story.query()
    assert after[0] == before[0]
    np.testing.assert_allclose(after[1], before[1], rtol=1e-5, atol=1e-6)
    assert any(key.startswith("segments/") for key in story.objects())

    # A bulk load: the writers notify the indexer, and it keeps up.
    rest = len(corpus) - LAST
    began = time.perf_counter()
    slowest = story.add(UNNOTICED, rest, batch)
    rate = (rest - UNNOTICED) / (time.perf_counter() - began)
    waiting = story.unindexed()
    assert story.recall(story.query()[0], lambda row: row < rest) >= 0.97
    seconds = eventually(lambda: story.unindexed() < AWS_DEFAULTS.flush_ops, "the indexer does not keep up", deployed)
    roles = ("/graph", "/reduced_graph")
    eventually(lambda: any(key.endswith(roles) for key in story.objects()), "there is no graph", deployed)

    # The last few records are flushed, and the log is trimmed.
    story.add(rest, len(corpus), batch)
    # Those of other tests may be among them.
    assert invoke(deployed, "MaintenanceFunction", {"task": "enqueue_stale"})["enqueued"] >= 1
    eventually(lambda: story.unindexed() == 0, "unflushed operations remain", deployed)
    eventually(lambda: set(story.log()) == {EntryKind.PLACEHOLDER}, "the log was not trimmed", deployed)
    assert any(key.startswith("archive/") for key in story.objects()), "nothing is archived for time travel"

    began = time.perf_counter()
    ids = story.query()[0]
    elapsed = (time.perf_counter() - began) * 1000 / QUERIES
    assert story.recall(ids) >= 0.97
    assert chroma.get_collection("packages").count() == len(corpus)
    section = corpus.sections_near(len(corpus) // 20, 1)[0]
    filtered = story.query({"section": section})[0]
    assert story.recall(filtered, lambda row: corpus.metadatas[row]["section"] == section) >= 0.97

    # Deleted records are gone from the memtable and from segments.
    nearest = sorted({record_id[0] for record_id in ids})
    story.collection.delete(ids=nearest)
    gone = {corpus.row_of[record_id] for record_id in nearest}
    assert story.recall(story.query()[0], lambda row: row not in gone) >= 0.97
    invoke(deployed, "MaintenanceFunction", {"task": "enqueue_stale"})
    eventually(lambda: story.unindexed() == 0, "the delete was not indexed", deployed)
    assert story.recall(story.query()[0], lambda row: row not in gone) >= 0.97

    # A fork shares everything and is free; time travel works, too.
    fork = story.collection.fork("packages-fork")
    assert (fork.count(), story.collection.fork_count()) == (len(corpus) - len(gone), 1)
    assert Story(deployed, fork, corpus).objects() == []
    position = call(chroma, "GET", f"/collections/{story.collection.id}/count").headers["afterglow-log-position"]
    path, then = f"/collections/{story.collection.id}", int(position) - 1
    assert call(chroma, "GET", f"{path}/count?at={then}").json() == len(corpus)
    made = call(chroma, "POST", f"{path}/fork?at={then}", {"new_name": "packages-then"})
    assert made.status_code == 200, made.text
    assert chroma.get_collection("packages-then").count() == len(corpus)
    assert story.collection.count() == len(corpus) - len(nearest)
    assert invoke(deployed, "MaintenanceFunction", {"task": "clean_up"})["damaged"] == 0

    chroma.delete_collection("packages")
    assert "packages" not in {collection.name for collection in chroma.list_collections()}
    measurements = {
        "rows": len(corpus),
        "added a second": round(rate),
        "slowest batch, ms": round(slowest),
        "unindexed after the last batch": waiting,
        "seconds until indexed": round(seconds, 1),
        "ms a query, in one request": round(elapsed, 2),
    }
    print(measurements)
    for name, value in measurements.items():
        record_property(name, value)


def test_a_poison_message_becomes_a_dead_letter_and_blocks_no_other(deployed: Deployment, chroma: "ClientAPI") -> None:
    sqs = client(deployed.aws, "sqs")
    queue, dead_letters = deployed.outputs["Queue"], deployed.outputs["DeadLetters"]
    hidden = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "2"})
    try:
        poison = {"MessageBody": "no message of ours", "MessageGroupId": "poison", "MessageDeduplicationId": "poison"}
        sqs.send_message(QueueUrl=queue, **poison)
        collection = chroma.create_collection("beside-poison")
        collection.add(ids=["one"], embeddings=np.ones((1, 2), dtype=np.float32))
        invoke(deployed, "MaintenanceFunction", {"task": "enqueue_stale"})
        eventually(lambda: collection.get_indexing_status().num_unindexed_ops == 0, "it was held up", deployed)

        def arrived() -> bool:
            names = ["ApproximateNumberOfMessages"]
            count = sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=names)["Attributes"][names[0]]
            return int(count) == 1

        eventually(arrived, "the poison message did not arrive", deployed, seconds=120)
        (message,) = sqs.receive_message(QueueUrl=dead_letters)["Messages"]
        assert message["Body"] == "no message of ours"
    finally:
        sqs.set_queue_attributes(QueueUrl=queue, Attributes=hidden)


def test_data_outlives_the_stack_and_every_option_deploys(aws: MiniStack, deployed: Deployment) -> None:
    """Signed requests only, snapshots, traces and mails: what the defaults leave out."""
    stack = stack_with_options(deployed)
    assert stack.status("/api/v2/heartbeat") == 403, "nobody signed this request"
    functions = client(aws, "lambda")
    function = functions.get_function_configuration(FunctionName=stack.resources()["ApiFunction"], Qualifier="live")
    assert function["SnapStart"]["ApplyOn"] == "PublishedVersions"
    assert function["EphemeralStorage"]["Size"] == 512
    assert function["TracingConfig"]["Mode"] == "Active"

    table, bucket = stack.outputs["Table"], stack.outputs["Bucket"]
    client(aws, "s3").put_object(Bucket=bucket, Key="precious", Body=b"data")
    # AWS keeps it when the stack around is deleted; MiniStack looks at the policies of one deleted by itself only.
    stacks = client(aws, "cloudformation")
    for name in (stack.resources()["Storage"], stack.name):
        stacks.delete_stack(StackName=name)
        stacks.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    description = client(aws, "dynamodb").describe_table(TableName=table)["Table"]
    assert description["DeletionProtectionEnabled"]
    assert client(aws, "s3").get_object(Bucket=bucket, Key="precious")["Body"].read() == b"data"
    assert "RequireTls" in client(aws, "s3").get_bucket_policy(Bucket=bucket)["Policy"]


def stack_with_options(package: Deployment) -> Deployment:
    """A second stack beside the first."""
    return stack_of(
        *(package, "optional"),
        Authorization="AWS_IAM",
        SnapStart="on",
        Tracing="Active",
        AlarmEmail="somebody@example.org",
        RecoveryDays=35,
        LogRetentionDays=365,
    )
