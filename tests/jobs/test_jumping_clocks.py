"""Processes whose clocks are wrong, or jump, around every protocol: nothing is lost, and everyone sees the same.

In process, two processes share a directory, and one of them has the jumping clock. The simulation
(`tests.simulation`) draws such histories at random; these are the ones that were once wrong, by name.
"""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from afterglow.catalog import Catalog, ttl
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import Scope, Selection
from afterglow.deployment.local import open_local
from afterglow.jobs import every_collection, gc, purge, restore, verify
from afterglow.jobs.clock_watch import ClockWatch
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.settings import Settings, System, child_environment
from afterglow.storage.ports import ConditionFailed, Put, Stores
from tests.support.faulty import Faults
from tests.support.model import EVERYTHING, Record, as_pairs
from tests.support.stores import WITH_RETENTION, new_collection, stores_at, with_faults

HOUR, DAY = 3_600.0, 24 * 3_600.0
JUMPS = [-8 * DAY, -HOUR, HOUR, 8 * DAY]


class WallClock:
    """The time of day of one process, as somebody sets it."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        return time.time() + self.offset


@dataclass
class Two:
    """A process with the right time, and one with a clock of its own."""

    right: Stores
    wrong: Stores
    clock: WallClock
    scope: Scope

    def index(self, stores: Stores) -> None:
        """Flush, compact and collect, as the idle indexer of this process."""
        replica = Replica.for_indexer(stores, self.scope.collection)
        index(stores, replica, self.scope.collection, idle=True)

    def check(self, ids: list[str]) -> None:
        """Both see these records, and nothing is damaged."""
        for stores in (self.right, self.wrong):
            assert Engine(stores).get(self.scope, Selection(), None, 0, frozenset()).ids == ids
        for target in every_collection.all_collections(self.right):
            report = verify.verify(self.right, target)
            assert report is not None
            assert report.problems == []


def process(folder: Path, now: WallClock, settings: Settings) -> Stores:
    stores = stores_at(folder, settings)
    return replace(stores, system=replace(stores.system, now=now.now, monotonic=time.monotonic))


@pytest.fixture(params=["past is kept", "no past"])
def two(folder: Path, request: pytest.FixtureRequest) -> Iterator[Two]:
    retention = 30 * DAY if request.param == "past is kept" else 0.0
    settings = replace(WITH_RETENTION, retention_seconds=retention)
    clock = WallClock()
    right, wrong = process(folder, WallClock(), settings), process(folder, clock, settings)
    yield Two(right, wrong, clock, new_collection(right)[0])
    right.table.close()
    wrong.table.close()


def records(*names: str, op: Op = Op.ADD, large: bool = False) -> Batch:
    documents = ["x" * 1_000 if large else name for name in names]
    return Batch(op, list(names), np.ones((len(names), 3), dtype=np.float32), documents=documents)


@pytest.mark.slow
@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("large", [False, True])
def test_append_flush_and_compaction(two: Two, jump: float, *, large: bool) -> None:
    """The indexer's clock is wrong; a writer that knows an old end of the log loses nothing."""
    sleeper, names = Engine(two.right), []
    for number in range(6):
        names.append(f"{number}")
        sleeper.write(two.scope, records(names[-1], large=large))
    for number in range(6, 12):
        names.append(f"{number}")
        Engine(two.wrong).write(two.scope, records(names[-1], large=large))
        two.clock.offset = jump - two.clock.offset
        two.index(two.wrong)
        gc.collect_garbage(two.wrong, two.scope.collection)
    sleeper.write(two.scope, records("last", large=large))
    two.check([*names, "last"])
    two.index(two.right)
    two.check([*names, "last"])


@pytest.mark.parametrize("jump", JUMPS)
def test_a_batch_in_flight_is_no_garbage(two: Two, jump: float) -> None:
    """A collector with a wrong clock runs between the put of an object and that of the entry which names it."""
    Engine(two.right).write(two.scope, records("a"))
    two.index(two.right)
    two.clock.offset = jump

    def fault(_: int, name: str) -> None:
        if name == "table.transact":
            two.index(two.wrong)
            gc.collect_garbage(two.wrong, two.scope.collection)

    Engine(with_faults(two.right, Faults(fault))).write(two.scope, records("b", large=True))
    two.check(["a", "b"])


@pytest.mark.parametrize("jump", JUMPS)
def test_expiry(folder: Path, jump: float) -> None:
    """Reads and writes go by one clock, the log's: what an update finds, a reader had seen, and sees changed."""
    clock = WallClock()
    right, wrong = process(folder, WallClock(), WITH_RETENTION), process(folder, clock, WITH_RETENTION)
    scope, _ = new_collection(right, metadata={ttl.TTL_KEY: "until"})
    now = time.time()
    until = {"past": now - 4 * DAY, "soon": now + 4 * DAY, "later": now + 40 * DAY, "never": "a word"}
    metadatas = [{"until": value, "kept": True} for value in until.values()]
    Engine(wrong).write(scope, replace(records(*until), metadatas=metadatas))
    clock.offset = jump
    changes = [{"changed": True}] * len(until)
    Engine(wrong).write(scope, Batch(Op.UPDATE, list(until), metadatas=changes))
    clock.offset = 0.0
    Engine(right).write(scope, replace(records(*until, op=Op.UPSERT), metadatas=[{"merged": True}] * len(until)))
    found = {name: record.metadata or {} for name, record in read(right, scope)}
    assert found.keys() == until.keys()
    for name, metadata in found.items():
        was_there = name in ("later", "never") or (name == "soon" and jump < 8 * DAY)
        assert ("changed" in metadata, "kept" in metadata) == (was_there, was_there), name
        assert metadata["merged"]
    assert read(right, scope) == read(wrong, scope)
    right.table.close()
    wrong.table.close()


@pytest.mark.parametrize("jump", JUMPS)
def test_what_a_write_takes_for_expired_no_reader_sees(folder: Path, jump: float) -> None:
    clock = WallClock()
    right, wrong = process(folder, WallClock(), WITH_RETENTION), process(folder, clock, WITH_RETENTION)
    scope, _ = new_collection(right, metadata={ttl.TTL_KEY: "until"})
    metadatas = [{"until": time.time() + 4 * DAY}]
    Engine(right).write(scope, replace(records("a"), metadatas=metadatas))
    clock.offset = jump
    Engine(wrong).write(scope, records("b"))
    clock.offset = 0.0
    seen = [name for name, _ in read(right, scope)]
    Engine(right).write(scope, Batch(Op.UPDATE, ["a"], documents=["updated"]))
    updated = [name for name, record in read(right, scope) if record.document == "updated"]
    assert updated == [name for name in seen if name == "a"]
    right.table.close()
    wrong.table.close()


@pytest.mark.parametrize("jump", JUMPS)
def test_forks_and_the_past(two: Two, jump: float) -> None:
    """A purge with a wrong clock meets an unfinished fork; positions of the past stay what they were."""
    Engine(two.right).write(two.scope, records("a", large=True))
    two.clock.offset = jump
    Engine(two.wrong).write(two.scope, records("b"))

    def fault(_: int, name: str) -> None:
        if name == "table.transact":
            purge.purge_dropped(two.wrong)
            two.index(two.wrong)

    forked = Engine(with_faults(two.right, Faults(fault))).fork(two.scope, "forked")
    assert forked.fork_position == 2
    Engine(two.right).write(two.scope, records("c"))
    two.index(two.wrong)
    gc.collect_garbage(two.wrong, two.scope.collection)
    fork_scope = Scope(two.scope.tenant, two.scope.database, forked.id)
    assert [name for name, _ in read(two.wrong, fork_scope)] == ["a", "b"]
    two.check(["a", "b", "c"])
    if two.right.settings.retention_seconds:
        for position, ids in ((1, ["a"]), (2, ["a", "b"]), (3, ["a", "b", "c"])):
            for stores in (two.right, two.wrong):
                at = PointInTime(position=position)
                assert Engine(stores).get(two.scope, Selection(), None, 0, frozenset(), at=at).ids == ids


@pytest.mark.parametrize("jump", JUMPS)
def test_a_dropped_collection_is_restored_whole(folder: Path, jump: float) -> None:
    """With a clock that was set back since its last writes as well."""
    settings = replace(WITH_RETENTION, retention_seconds=30 * DAY)
    clock = WallClock()
    stores = process(folder, clock, settings)
    scope, _ = new_collection(stores)
    Engine(stores).write(scope, records("a"))
    index(stores, Replica.for_indexer(stores, scope.collection), scope.collection, idle=True)
    Engine(stores).write(scope, records("b"))
    clock.offset = jump
    Engine(stores).delete_collection(scope.tenant, scope.database, "tested")
    database = Catalog(stores.table, stores.system).get_database(scope.tenant, scope.database)
    restored = restore.restore(stores, restore.find(stores, database, "tested"), None)
    assert [name for name, _ in read(stores, replace(scope, collection=restored.id))] == ["a", "b"]
    stores.table.close()


@pytest.mark.slow
@pytest.mark.parametrize("jump", JUMPS)
def test_import(two: Two, jump: float) -> None:
    """Of two importers of one range one writes each chunk, however long an indexer says it took."""
    engines = [Engine(two.right), Engine(two.wrong)]
    written = 0
    for number in range(8):
        two.clock.offset = jump if number % 3 else 0.0
        progress = Put("IMPORT", "range", b"", if_absent=number == 0, if_version=number or None)
        batch = records(f"{number}", large=number % 2 == 0)
        for engine in engines[:: 1 if number % 2 else -1]:
            try:
                engine.write(two.scope, batch, [progress])
                written += 1
            except ConditionFailed:
                pass
        two.index(two.wrong)
    assert written == 8
    two.check([f"{number}" for number in range(8)])


def test_a_jump_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = WallClock()
    watch = ClockWatch(System(now=clock.now))
    with caplog.at_level(logging.WARNING):
        assert watch.check() == 0.0
        clock.offset = 8 * DAY
        assert watch.check() == pytest.approx(8 * DAY, abs=5)
        assert watch.check() == 0.0
        clock.offset = 30.0
        assert watch.check() == pytest.approx(-8 * DAY, abs=60)
        clock.offset = 0.0
        assert watch.check() == 0.0
    assert len(caplog.messages) == 2
    assert "jumped by +691200 seconds" in caplog.messages[0]


PROGRAM = """
import sys, time
from dataclasses import replace
from pathlib import Path
from afterglow.deployment.local import open_local
from afterglow.jobs.start import compact_all
from afterglow.settings import Settings, System
offset = float(sys.argv[2])
system = System(now=lambda: time.time() + offset)
settings = Settings(flush_ops=5, gc_grace_seconds=1.0)
print("ready", flush=True)
while sys.stdin.readline():
    for _ in compact_all(open_local(Path(sys.argv[1]), system), settings, system):
        pass
    print("done", flush=True)
"""


@pytest.mark.slow
def test_processes_whose_clocks_differ(folder: Path) -> None:
    """Indexers of other processes, days ahead and days behind, come and go while one process writes."""
    stores = replace(stores_at(folder, Settings(log_inline_max_bytes=400)), system=System())
    scope, _ = new_collection(stores)
    engine, names = Engine(stores), []
    indexers = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), str(offset)],
            env=child_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for offset in JUMPS
    ]
    try:
        for number in range(12):
            for row in range(3):
                names.append(f"{number}-{row}")
                engine.write(scope, records(names[-1], large=row == 1))
            indexer = indexers[number % len(indexers)]
            assert indexer.stdin is not None
            assert indexer.stdout is not None
            indexer.stdin.write("work\n")
            indexer.stdin.flush()
            while number > 7 and indexer.stdout.readline() != "done\n":
                pass
    finally:
        for indexer in indexers:
            indexer.communicate()
    assert [indexer.returncode for indexer in indexers] == [0] * len(indexers)
    fresh = Engine(open_local(folder, System()).stores(Settings(), System(), stores.queue))
    assert fresh.get(scope, Selection(), None, 0, frozenset()).ids == names
    reports = [verify.verify(stores, target) for target in every_collection.all_collections(stores)]
    assert [report.problems for report in reports if report is not None] == [[]]
    fresh.close()
    stores.table.close()


def read(stores: Stores, scope: Scope) -> list[tuple[str, Record]]:
    return as_pairs(Engine(stores).get(scope, Selection(), None, 0, EVERYTHING))
