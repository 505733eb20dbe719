"""The account of the cold bench: an emulated S3 with latency, and a loaded collection."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from afterglow.aws_lambda.engine import open_engine
from afterglow.catalog import schema
from afterglow.collection.types import Scope
from afterglow.deployment.aws import open_aws
from afterglow.jobs.index_messages import IDLE, handle
from afterglow.log.batch import Batch, Op
from afterglow.settings import LAMBDA_DEFAULTS, Settings, System
from tests.support import aws
from tests.support.emulator.client import RunningEmulator, running_emulator
from tests.support.emulator.weather import LAMBDA

ROOT = Path(__file__).parents[2]
BATCH = 5_000
TENANT, DATABASE = "default_tenant", "default_database"
PARTS, FIFTHS = 100, 5


@dataclass(frozen=True)
class Account:
    """A collection in the emulated account, loaded and indexed in `seconds`."""

    emulator: RunningEmulator
    scope: Scope
    settings: Settings
    seconds: float

    def path(self, operation: str) -> str:
        """The path of an operation on the collection."""
        scope = self.scope
        return f"/api/v2/tenants/{TENANT}/databases/{DATABASE}/collections/{scope.collection}/{operation}"


@dataclass
class Container:
    """A fresh process of the API function."""

    process: subprocess.Popen[str]
    started: dict[str, Any]

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Send one request and wait for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"method": method, "path": path, "body": body}) + "\n")
        self.process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the container ended")
        found: dict[str, Any] = json.loads(line)
        return found


def metadatas(first: int, count: int) -> list[dict[str, Any]]:
    """One row of a hundred is in a part, one of five in a fifth."""
    return [{"part": number % PARTS, "fifth": number % FIFTHS} for number in range(first, first + count)]


@contextmanager
def account(rows: NDArray[np.float32], folder: Path, settings: Settings = LAMBDA_DEFAULTS) -> Iterator[Account]:
    """An account with all rows in one indexed collection; the weather is set once it is loaded."""
    with running_emulator(folder / "objects") as emulator, mock.patch.dict(os.environ, emulator.environment()):
        made = aws.make()
        loaded = made.settings(settings, folder / "loader")
        start = time.monotonic()
        scope = _load(rows, loaded)
        emulator.set_weather(LAMBDA)
        yield Account(emulator, scope, loaded, time.monotonic() - start)


@contextmanager
def container(account: Account, **variables: str) -> Iterator[Container]:
    """A container with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {
            **os.environ,
            "AFTERGLOW_TABLE": account.settings.table,
            "AFTERGLOW_BUCKET": account.settings.bucket,
            "AFTERGLOW_QUEUE": account.settings.queue,
            "AFTERGLOW_CACHE_DIR": cache,
            "AFTERGLOW_AUTH": "off",
            "AFTERGLOW_MAX_RESPONSE_BYTES": "0",
            **variables,
        }
        command = [sys.executable, "-m", "tests.benchmarks.cold_reader"]
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            running = Container(process, {})
            running.started = running._line()
            try:
                yield running
            finally:
                assert process.stdin is not None
                process.stdin.close()


def _load(rows: NDArray[np.float32], settings: Settings) -> Scope:
    system = System()
    deployment = open_aws(settings, system)
    engine = open_engine(deployment, settings, system)
    collection = engine.create_collection(TENANT, DATABASE, "cold", None, schema.reconcile(None, None, None))
    scope = Scope(TENANT, DATABASE, collection.id)
    queue = deployment.queue
    assert queue is not None
    stores = deployment.stores(settings, system, queue)
    messages = _Messages()
    for first in range(0, len(rows), BATCH):
        vectors = rows[first : first + BATCH]
        names = [f"row-{number}" for number in range(first, first + len(vectors))]
        documents = [f"the document of row {number}, of about a hundred bytes ".ljust(100, ".") for number in names]
        batch = Batch(Op.ADD, names, vectors, documents=documents, metadatas=metadatas(first, len(vectors)))
        engine.write(scope, batch)
        if first % (8 * BATCH) == 7 * BATCH:
            handle(stores, _message(str(collection.id), IDLE), compactions=_Messages())
    messages.send(str(collection.id), IDLE)
    while messages.waiting:
        handle(stores, _message(*messages.waiting.popleft()), compactions=messages)
    return scope


@dataclass
class _Messages:
    """A queue of messages to the indexer, which the loader works off itself."""

    waiting: deque[tuple[str, str]] = field(default_factory=deque)

    def send(self, group: str, body: str) -> None:
        self.waiting.append((group, body))


def _message(group: str, body: str) -> str:
    return json.dumps({"group": group, "body": body})
