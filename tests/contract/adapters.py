"""The adapters under contract. A further one joins by one more entry in a list.

`open(folder)` makes an instance over the store that belongs to `folder` (a test's own directory): two instances of one
folder share one store, as two processes would. It must be a function of a module, so that a child process can call it.

Those over AWS run twice: on moto, in this process, with the mark `slow`, and on MiniStack with the mark `stack`.
What several processes do only MiniStack can show: nothing of moto leaves the process.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from unittest import mock

import orjson
import pytest

from afterglow.errors import AfterglowError
from afterglow.settings import System
from afterglow.storage.aws.disk_cache import DiskCache
from afterglow.storage.aws.objects import S3Objects
from afterglow.storage.aws.queue import SqsQueue
from afterglow.storage.aws.table import DynamoTable
from afterglow.storage.local.objects import DirectoryObjects
from afterglow.storage.local.queue import ThreadQueue
from afterglow.storage.local.table import SqliteTable
from afterglow.storage.ports import Objects, Queue, Table
from tests.support.aws import NAME, bucket_name, guarded_clients, make, moto_aws, new_session
from tests.support.ministack import MiniStack, fresh_account

Port = TypeVar("Port")

Handler = Callable[[str, str], None]
"""Takes (group, body); an AfterglowError means: deliver it again."""

QUEUE = "AFTERGLOW_TEST_QUEUE"
"""Where this process keeps the address of the queue under test."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Where an adapter's store lives: `entered(request)` makes it be there for the length of the block."""

    entered: Callable[[pytest.FixtureRequest], AbstractContextManager[None]]
    has_processes: bool = True
    marks: tuple[pytest.MarkDecorator, ...] = ()


@dataclass(frozen=True, slots=True)
class Adapter(Generic[Port]):
    """One adapter: its name in the test ids, and how to open it."""

    name: str
    open: Callable[[Path], Port]
    backend: Backend

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class QueueAdapter:
    """One adapter of the queue: `open(folder, handler)` delivers to `handler` for the length of the block."""

    name: str
    open: Callable[[Path, Handler], AbstractContextManager[Queue]]
    backend: Backend

    def __str__(self) -> str:
        return self.name


@contextmanager
def _here(_: pytest.FixtureRequest) -> Iterator[None]:
    yield


@contextmanager
def _on_moto(_: pytest.FixtureRequest) -> Iterator[None]:
    with moto_aws(), mock.patch.dict(os.environ, {QUEUE: make().queue}):
        yield


@contextmanager
def _on_ministack(request: pytest.FixtureRequest) -> Iterator[None]:
    running: MiniStack = request.getfixturevalue("emulator")
    with mock.patch.dict(os.environ, running.environment(fresh_account())):
        os.environ[QUEUE] = make().queue
        yield


LOCAL = Backend(_here)
MOTO = Backend(_on_moto, has_processes=False, marks=(pytest.mark.slow,))
MINISTACK = Backend(_on_ministack, marks=(pytest.mark.stack,))


def sqlite_table(folder: Path) -> Table:
    return SqliteTable(folder / "table.sqlite")


def dynamo_table(folder: Path) -> Table:
    return DynamoTable(guarded_clients(), NAME)


def directory_objects(folder: Path) -> Objects:
    return DirectoryObjects(folder / "objects", System())


def s3_objects(folder: Path) -> Objects:
    return S3Objects(guarded_clients(), bucket_name(), DiskCache(folder / "cache", 10**9), System())


@contextmanager
def thread_queue(folder: Path, handler: Handler) -> Iterator[Queue]:
    queue = ThreadQueue(System())
    queue.start(handler)
    try:
        yield queue
    finally:
        queue.close()


@contextmanager
def sqs_queue(folder: Path, handler: Handler) -> Iterator[Queue]:
    """The queue, and a thread that receives as Lambda's event source does: up to ten at a time, failed ones go back."""
    client: Any = new_session().create_client("sqs")
    url, ended = os.environ[QUEUE], threading.Event()

    def receive() -> None:
        while not ended.wait(0.01):
            answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=30)
            for message in answer.get("Messages", []):
                handle, message_body = message["ReceiptHandle"], orjson.loads(message["Body"])
                try:
                    handler(message_body["group"], message_body["body"])
                    client.delete_message(QueueUrl=url, ReceiptHandle=handle)
                except AfterglowError:
                    client.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)

    thread = threading.Thread(target=receive)
    thread.start()
    clients = guarded_clients()
    try:
        yield SqsQueue(clients, url)
    finally:
        ended.set()
        thread.join()
        client.close()
        clients.forget_credentials()


TABLES: list[Adapter[Table]] = [
    Adapter("sqlite", sqlite_table, LOCAL),
    Adapter("dynamodb-moto", dynamo_table, MOTO),
    Adapter("dynamodb-ministack", dynamo_table, MINISTACK),
]
OBJECTS: list[Adapter[Objects]] = [
    Adapter("directory", directory_objects, LOCAL),
    Adapter("s3-moto", s3_objects, MOTO),
    Adapter("s3-ministack", s3_objects, MINISTACK),
]
QUEUES: list[QueueAdapter] = [
    QueueAdapter("thread", thread_queue, LOCAL),
    QueueAdapter("sqs-moto", sqs_queue, MOTO),
    QueueAdapter("sqs-ministack", sqs_queue, MINISTACK),
]


def params(adapters: Sequence[Any], *, processes: bool = False) -> list[Any]:
    """The adapters as a test's parameters; `processes`: those that several processes can share."""
    return [
        pytest.param(adapter, id=adapter.name, marks=adapter.backend.marks)
        for adapter in adapters
        if adapter.backend.has_processes or not processes
    ]
