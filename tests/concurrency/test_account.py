"""Writers, readers, followers and indexers in containers of one account: no write is lost, duplicated or misplaced."""

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from afterglow.aws_lambda.engine import open_engine
from afterglow.catalog import keys, schema
from afterglow.collection import Engine
from afterglow.collection.changes.position import ChangePosition
from afterglow.collection.types import Scope, Selection
from afterglow.deployment.aws import open_aws
from afterglow.deployment.base import NullQueue
from afterglow.jobs.index_messages import IDLE, handle
from afterglow.log import entry as entries
from afterglow.log.batch import Batch, Op
from afterglow.settings import AWS_DEFAULTS, Settings, System
from tests.collection.test_changes import Consumer
from tests.concurrency.joint_serializability import JointClient, disorder
from tests.concurrency.linearizability import violations
from tests.concurrency.test_linearizability import history_of
from tests.concurrency.test_processes import FREQUENT_FLUSHES, run_clients
from tests.concurrency.test_serializability import check
from tests.concurrency.test_serializability import run_clients as run_transactions
from tests.support.aws import Made, make
from tests.support.ministack import MiniStack, fresh_account
from tests.support.model import EVERYTHING as EVERY_FIELD
from tests.support.model import as_pairs, canonical
from tests.support.server import running

pytestmark = pytest.mark.stack

WRITERS, WRITES, ROWS = 16, 12, 3
JOINT_STEPS = 32
"""Of a client; most try to write in both collections, and one in fifteen of these commits."""
EAGER = replace(AWS_DEFAULTS, flush_ops=40, hnsw_min_rows=32, log_inline_max_bytes=600, notify_every_ops=20)


@pytest.fixture
def made(emulator: MiniStack) -> Iterator[Made]:
    with mock.patch.dict("os.environ", emulator.environment(fresh_account())):
        yield make()


class AwsFixture:
    """One collection; every simulated container has its own cache and clients."""

    def __init__(self, made: Made, folder: Path) -> None:
        self.made = made
        self.folder = folder
        self.containers = 0
        self.scope = self.new_collection("raced")

    def new_collection(self, name: str) -> Scope:
        stored = schema.reconcile(None, None, None)
        collection = self.engine().create_collection("default_tenant", "default_database", name, None, stored)
        return Scope("default_tenant", "default_database", collection.id)

    def settings(self) -> Settings:
        self.containers += 1
        return self.made.settings(EAGER, self.folder / f"container-{self.containers}")

    def engine(self) -> Engine:
        return open_engine(open_aws(self.settings(), System()), self.settings(), System())

    def index(self, *, idle: bool, scope: Scope | None = None) -> None:
        settings, system = self.settings(), System()
        stores = open_aws(settings, system).stores(settings, system, NullQueue())
        collection = (scope or self.scope).collection
        handle(stores, f'{{"group": "{collection}", "body": "{IDLE if idle else "1"}"}}')

    def log(self) -> list[entries.Entry]:
        settings, system = self.settings(), System()
        table = open_aws(settings, system).table
        pk = keys.collection(self.scope.collection)
        return [entries.decode(item) for item in table.query(pk, after=entries.BEFORE_ALL, before=entries.AFTER_ALL)]

    def ids(self) -> list[str]:
        return self.engine().get(self.scope, Selection(), None, 0, frozenset()).ids


@pytest.fixture
def fixture(made: Made, tmp_path: Path) -> AwsFixture:
    return AwsFixture(made, tmp_path)


def batch(writer: int, number: int) -> Batch:
    names = [f"{writer}-{number}-{row}" for row in range(ROWS)]
    return Batch(Op.ADD, names, np.full((ROWS, 8), writer + number / 100, dtype=np.float32))


EVERYTHING = sorted(
    f"{writer}-{number}-{row}" for writer in range(WRITERS) for number in range(WRITES) for row in range(ROWS)
)


def write_all(fixture: AwsFixture, writer: int) -> None:
    engine = fixture.engine()
    for number in range(WRITES):
        engine.write(fixture.scope, batch(writer, number))


def test_sixteen_writers_lose_no_entry_and_duplicate_no_number(fixture: AwsFixture) -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda writer: write_all(fixture, writer), range(WRITERS)))
    log = fixture.log()
    assert [entry.seq for entry in log] == list(range(1, WRITERS * WRITES + 1))
    assert len({entry.nonce for entry in log}) == len(log)
    assert sorted(fixture.ids()) == EVERYTHING


def test_sixteen_writers_with_two_indexers_and_readers_of_old_checkpoints(fixture: AwsFixture) -> None:
    """Indexers race, readers hold a checkpoint while its log is trimmed: every read sees all earlier writes."""
    acknowledged: Counter[str] = Counter()
    lock, over = threading.Lock(), threading.Event()
    problems: list[str] = []

    def write(writer: int) -> None:
        engine = fixture.engine()
        for number in range(WRITES):
            engine.write(fixture.scope, batch(writer, number))
            with lock:
                acknowledged.update(batch(writer, number).ids)

    def index(number: int) -> None:
        while not over.is_set():
            fixture.index(idle=number == 0)

    def read(number: int) -> None:
        engine = fixture.engine()
        while not over.is_set():
            with lock:
                expected = set(acknowledged)
            found = engine.get(fixture.scope, Selection(), None, 0, frozenset()).ids
            if len(found) != len(set(found)) or not expected <= set(found):
                problems.append(f"reader {number}: {len(expected - set(found))} acknowledged records are not seen")
            time.sleep(0.05 * number)

    with ThreadPoolExecutor(WRITERS + 5) as pool:
        others = [pool.submit(index, number) for number in range(2)] + [
            pool.submit(read, number) for number in (0, 1, 9)
        ]
        list(pool.map(write, range(WRITERS)))
        time.sleep(1)
        over.set()
        for other in others:
            other.result()
    assert problems == []
    fixture.index(idle=True)
    assert sorted(fixture.ids()) == EVERYTHING
    assert {entry.kind for entry in fixture.log()} == {entries.EntryKind.PLACEHOLDER}


def test_sixteen_writers_of_the_same_records(fixture: AwsFixture) -> None:
    """The history of each record is linearizable."""
    engines = [fixture.engine() for _ in range(4)]
    history = history_of(engines, fixture.scope, lambda: fixture.index(idle=True), operations=10)
    assert violations(history) == []


def test_sixteen_clients_of_transactions(fixture: AwsFixture) -> None:
    """Every history is serializable, filters among the reads."""
    engines = [fixture.engine() for _ in range(WRITERS)]
    clients = run_transactions(engines, fixture.scope, lambda: fixture.index(idle=True), steps=6)
    assert check(clients) > WRITERS


def test_sixteen_clients_of_joint_commits(fixture: AwsFixture, pytestconfig: pytest.Config) -> None:
    """The histories of two collections are serializable together, while both are flushed and trimmed."""
    scopes = [fixture.scope, fixture.new_collection("other")]
    seed = int(pytestconfig.getoption("hypothesis_seed"))
    clients = [JointClient(number, fixture.engine(), scopes, seed) for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        runs = [pool.submit(client.run, JOINT_STEPS) for client in clients]
        while not all(run.done() for run in runs):
            for scope in scopes:
                fixture.index(idle=True, scope=scope)
        for run in runs:
            run.result()
    committed = [positions for client in clients for positions in client.committed]
    assert len(committed) > WRITERS / 2, f"{sum(client.conflicts for client in clients)} conflicts"
    assert disorder(committed) == []
    for histories in zip(*(client.clients for client in clients), strict=True):
        check(histories)


def test_followers_lose_nothing_while_indexers_trim(fixture: AwsFixture) -> None:
    """Each entry once and in order, from the log or the archive, also to a follower who begins after the last trim."""
    follower = Consumer(fixture.engine(), fixture.scope)
    with ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(write_all, fixture, writer) for writer in range(4)]

        def index() -> None:
            while not all(writer.done() for writer in writers):
                fixture.index(idle=True)

        indexers = [pool.submit(index) for _ in range(2)]
        while not all(writer.done() for writer in writers):
            follower.read(limit=3)
        for future in (*writers, *indexers):
            future.result()
    fixture.index(idle=True)
    assert {entry.kind for entry in fixture.log()} == {entries.EntryKind.PLACEHOLDER}
    engine = fixture.engine()
    stored = canonical(as_pairs(engine.get(fixture.scope, Selection(), None, 0, EVERY_FIELD)))
    for consumer in (follower, Consumer(engine, fixture.scope)):
        consumer.catch_up()
        assert consumer.position == ChangePosition(4 * WRITES)
        assert canonical([*consumer.model.records.items()]) == stored


def test_a_killed_indexer_needs_no_repair(fixture: AwsFixture, tmp_path: Path) -> None:
    program = tmp_path / "indexer.py"
    program.write_text(
        "import sys\n"
        "from dataclasses import replace\n"
        "from afterglow.deployment.aws import open_aws\n"
        "from afterglow.deployment.base import NullQueue\n"
        "from afterglow.jobs.index_messages import handle\n"
        "from afterglow.settings import AWS_DEFAULTS, System, from_environment\n"
        "settings, system = from_environment(defaults=AWS_DEFAULTS), System()\n"
        "stores = open_aws(settings, system).stores(settings, system, NullQueue())\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    handle(stores, sys.argv[1])\n"
    )
    message = f'{{"group": "{fixture.scope.collection}", "body": "{IDLE}"}}'
    settings = fixture.settings()
    environment = {
        f"AFTERGLOW_{name.upper()}": str(getattr(settings, name))
        for name in ("table", "bucket", "cache_dir", "flush_ops", "hnsw_min_rows", "log_inline_max_bytes")
    }
    expected: list[str] = []
    for round_ in range(8):
        with mock.patch.dict("os.environ", environment), ExitStack() as stack:
            process = stack.enter_context(
                subprocess.Popen([sys.executable, str(program), message], stdout=subprocess.PIPE)
            )
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            writer = threading.Thread(target=write_all, args=(fixture, round_))
            writer.start()
            time.sleep(0.05 + 0.09 * round_)
            process.send_signal(signal.SIGKILL)
            writer.join()
        expected = [name for name in EVERYTHING if int(name.split("-")[0]) <= round_]
        assert sorted(fixture.ids()) == expected
    fixture.index(idle=True)
    assert sorted(fixture.ids()) == expected


def test_two_servers_of_one_account(made: Made, tmp_path: Path) -> None:
    """Two machines on one account have the same guarantees as two servers on one directory."""
    environment = {**FREQUENT_FLUSHES, "AFTERGLOW_TABLE": made.table, "AFTERGLOW_BUCKET": made.bucket}
    environment["AFTERGLOW_GC_GRACE_SECONDS"] = "900"  # two indexers, and no lock between their machines
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                running(
                    tmp_path / f"server-{number}",
                    options=("--aws",),
                    env={**environment, "AFTERGLOW_CACHE_DIR": str(tmp_path / f"cache-{number}")},
                )
            )
            for number in range(2)
        ]
        run_clients(servers, seconds=15)
