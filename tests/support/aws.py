"""AWS in this process: moto, made honest where it is not, and stores over it.

* moto is not atomic: a lock around each request makes it so. What several *processes* do is tested on MiniStack.
* moto's reports of consumed capacity are wrong: `ConsumedCapacity` computes them.
* moto takes more than AWS does: `GuardedClients` refuse what is over the limits of AWS.
"""

import os
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import botocore.loaders
import botocore.session
from botocore.awsrequest import AWSPreparedRequest
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber

from afterglow.settings import Settings, System
from afterglow.storage.aws import billing, usage_hooks
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.disk_cache import DiskCache
from afterglow.storage.aws.objects import S3Objects
from afterglow.storage.aws.queue import SqsQueue
from afterglow.storage.aws.table import DynamoTable
from afterglow.storage.ports import Stores
from tests.support.botocore_reader import BotocoreReader
from tests.support.consumed_capacity import ConsumedCapacity
from tests.support.faulty import Faults
from tests.support.stores import SMALL, Clock, with_faults

REGION = "eu-central-1"
NAME = "afterglow"
_LOADER = botocore.loaders.create_loader()
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Made:
    """What a deployment has, by name and address."""

    table: str
    bucket: str
    queue: str
    dead_letters: str

    def settings(self, settings: Settings, cache: Path) -> Settings:
        """The same settings, for this deployment."""
        return replace(settings, table=self.table, bucket=self.bucket, queue=self.queue, cache_dir=str(cache))


def environment(account: str = "123456789012", endpoint: str | None = None) -> dict[str, str]:
    """Credentials that open nothing but an emulator; nothing of this machine's configuration is read."""
    return {
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
        **({} if endpoint is None else {"AWS_ENDPOINT_URL": endpoint}),
    }


@contextmanager
def moto_aws() -> Iterator[None]:
    """AWS is moto: fresh, atomic, for the length of the block."""
    lock, respond, capacity = threading.RLock(), BotocoreStubber.process_request, ConsumedCapacity()
    attach = usage_hooks.attach

    def one_at_a_time(self: BotocoreStubber, request: AWSPreparedRequest) -> Any:
        with lock:
            return respond(self, request)

    def attach_with_reports(client: Any) -> None:
        attach(client)
        if client.meta.service_model.service_name == "dynamodb":
            capacity.attach(client)

    with (
        mock.patch.dict("os.environ", environment()),
        mock_aws(),
        mock.patch.object(BotocoreStubber, "process_request", one_at_a_time),
        mock.patch.object(Clients, "_create_reader", _reader_by_botocore),
        mock.patch.object(usage_hooks, "attach", attach_with_reports),
    ):
        yield


def _reader_by_botocore(clients: Clients, bucket: str) -> BotocoreReader:
    return BotocoreReader(clients, bucket)


def make(name: str = NAME) -> Made:
    """A table, a bucket and a queue as the template makes them; there already: the same."""
    session: Any = new_session()
    dynamodb, s3, sqs = (session.create_client(service) for service in ("dynamodb", "s3", "sqs"))
    try:
        if name not in dynamodb.list_tables()["TableNames"]:
            make_table(dynamodb, name)
        bucket = bucket_name(name)
        if bucket not in [description["Name"] for description in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        queue, dead_letters = make_queues(sqs, name)
        return Made(name, bucket, queue, dead_letters)
    finally:
        for client in (dynamodb, s3, sqs):
            client.close()


def bucket_name(name: str = NAME) -> str:
    """The bucket of this account: all accounts share the names of buckets."""
    return f"{name}-{os.environ['AWS_ACCESS_KEY_ID']}"


def new_session() -> botocore.session.Session:
    """A session with this moment's credentials; what botocore knows of the services is read once per process."""
    session = botocore.session.get_session()
    session.register_component("data_loader", _LOADER)
    return session


def make_table(dynamodb: Any, name: str) -> None:
    """The table, billed on demand, with a time to live."""
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    dynamodb.update_time_to_live(
        TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
    )


def make_queues(sqs: Any, name: str, *, receives: int = 3, visibility: int = 30) -> tuple[str, str]:
    """A FIFO queue and the one for messages that were received in vain so often; their URLs."""
    dead_letters = sqs.create_queue(QueueName=f"{name}-dead.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": {receives}}}'
    attributes = {"FifoQueue": "true", "VisibilityTimeout": str(visibility), "RedrivePolicy": redrive}
    return sqs.create_queue(QueueName=f"{name}.fifo", Attributes=attributes)["QueueUrl"], dead_letters


def stores_on_aws(
    made: Made,
    cache: Path,
    settings: Settings = SMALL,
    clock: Clock | None = None,
    *,
    seed: int = 0,
    faults: Faults | None = None,
    clients: Clients | None = None,
) -> Stores:
    """The stores of a deployment, as a process with its own cache opens them; `faults` wraps all three."""
    clock = clock or Clock()
    system = System(
        now=clock.now, monotonic=clock.now, sleep=clock.sleep, random=random.Random(f"{seed} {time.monotonic_ns()}")
    )
    clients = clients or guarded_clients(system)
    for client, service in ((clients.s3, "s3"), (clients.dynamodb, "dynamodb")):
        client.meta.events.register(f"after-call.{service}", partial(_date_by, clock))
    settings = made.settings(settings, cache)
    stores = Stores(
        table=DynamoTable(clients, made.table),
        objects=S3Objects(clients, made.bucket, DiskCache(cache, settings.cache_max_bytes), system),
        queue=SqsQueue(clients, made.queue),
        settings=settings,
        system=system,
    )
    return stores if faults is None else with_faults(stores, faults)


def _date_by(clock: Clock, parsed: Mapping[str, Any], **_: object) -> None:
    """The store's clock skips what the tests' clock skips, so that objects age with it."""
    parsed["ResponseMetadata"]["HTTPHeaders"]["date"] = formatdate(clock.now(), usegmt=True)


class OverLimit(AssertionError):
    """A request that AWS would have refused."""


class GuardedClients(Clients):
    """Clients whose requests are held to the limits of AWS, where emulators are lenient."""

    def _new_session(self) -> botocore.session.Session:
        return new_session()

    def _create(self, service: str) -> Any:
        client = super()._create(service)
        client.meta.events.register(f"before-parameter-build.{service}", _guard)
        return client


def guarded_clients(system: System | None = None) -> Clients:
    """Clients for tests."""
    return GuardedClients(system)


def _guard(params: Mapping[str, Any], model: Any, **_: object) -> None:
    match model.name:
        case "PutItem":
            _check_item(params["Item"])
        case "BatchWriteItem":
            requests = [request for table in params["RequestItems"].values() for request in table]
            items = [_check_item(request["PutRequest"]["Item"]) for request in requests]
            places = {(item["pk"]["S"], item["sk"]["S"]) for item in items}
            _demand(0 < len(requests) <= 25, f"{len(requests)} requests in one BatchWriteItem")
            _demand(len(places) == len(requests), "an item twice in one BatchWriteItem")
        case "BatchGetItem":
            keys = [
                (key["pk"]["S"], key["sk"]["S"]) for table in params["RequestItems"].values() for key in table["Keys"]
            ]
            _demand(0 < len(keys) <= 100, f"{len(keys)} keys in one BatchGetItem")
            _demand(len(set(keys)) == len(keys), "a key twice in one BatchGetItem")
        case "TransactWriteItems":
            _check_transaction([*params["TransactItems"]])
        case "PutObject" | "GetObject" | "DeleteObject":
            _demand(0 < len(params["Key"].encode()) <= 1024, f"an object key of {len(params['Key'].encode())} bytes")
        case "SendMessage":
            _demand(len(params["MessageBody"].encode()) <= _MEGABYTE, "a message over 1 MiB")
            for name in ("MessageGroupId", "MessageDeduplicationId"):
                _demand(0 < len(params[name]) <= 128, f"{name} of {len(params[name])} characters")
                _demand(all("!" <= character <= "~" for character in params[name]), f"{name} {params[name]!r}")
        case _:
            pass


def _check_transaction(actions: list[Any]) -> None:
    bodies = [next(iter(action.values())) for action in actions]
    places = {(key["pk"]["S"], key["sk"]["S"]) for key in (body.get("Item") or body["Key"] for body in bodies)}
    sizes = [
        billing.item_size(_check_item(body.get("Item") or {**body["Key"], **body.get("ExpressionAttributeValues", {})}))
        for body in bodies
    ]
    _demand(0 < len(actions) <= 100, f"{len(actions)} actions in one transaction")
    _demand(len(places) == len(actions), "an item twice in one transaction")
    _demand(sum(sizes) <= 4 * _MEGABYTE, f"{sum(sizes)} bytes in one transaction")


def _check_item(item: Mapping[str, Any]) -> Mapping[str, Any]:
    _demand(0 < len(item["pk"]["S"].encode()) <= 2048, "a partition key of a wrong size")
    _demand(0 < len(item["sk"]["S"].encode()) <= 1024, "a sort key of a wrong size")
    _demand(billing.item_size(item) <= 400 * 1024, f"an item of {billing.item_size(item)} bytes")
    return item


def _demand(held: bool, what: str) -> None:
    if not held:
        raise OverLimit(f"AWS would refuse {what}")
