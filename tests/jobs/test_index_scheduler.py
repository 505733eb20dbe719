"""The indexer process of one machine: it does its work, dies without harm, and ends with its parent."""

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from uuid import UUID

import numpy as np
import psutil
import pytest

from afterglow.catalog import schema
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope, Selection
from afterglow.deployment import hang_watch
from afterglow.deployment.base import NullQueue
from afterglow.deployment.local import open_local
from afterglow.errors import Unavailable
from afterglow.jobs import index_scheduler
from afterglow.jobs.flush import flush
from afterglow.jobs.index_scheduler import indexed_event
from afterglow.jobs.indexer import IndexReport
from afterglow.jobs.start import compact_all, start_engine
from afterglow.log.batch import Batch, Op
from afterglow.segment import manifest as manifests
from afterglow.segment.manifest import SegmentInfo
from afterglow.server.logs import OneLine
from afterglow.settings import Settings, System, child_environment
from tests.support.stores import quick_folder

TIMEOUT_SECONDS = 60.0
SETTINGS = replace(Settings(), flush_ops=10, flush_idle_seconds=0.05)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("AFTERGLOW_FLUSH_OPS", "10")
    monkeypatch.setenv("AFTERGLOW_FLUSH_IDLE_SECONDS", "0.05")
    with quick_folder() as path:
        yield path


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    opened = start_engine(open_local(folder, System()), SETTINGS, System())
    yield opened
    opened.close()


def made(engine: Engine, name: str) -> Scope:
    collection = engine.create_collection(
        "default_tenant", "default_database", name, None, schema.reconcile(None, None, None)
    )
    return Scope("default_tenant", "default_database", collection.id)


def write(engine: Engine, scope: Scope, first: int, last: int) -> None:
    names = [f"{number}" for number in range(first, last)]
    engine.write(scope, Batch(Op.ADD, names, np.ones((len(names), 3), dtype=np.float32)))


def wait_until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not done():
        assert time.monotonic() < deadline, f"{what} took too long"
        time.sleep(0.02)


def is_indexed(engine: Engine, scope: Scope, ops: int) -> Callable[[], bool]:
    def look() -> bool:
        status = engine.indexing_status(scope)
        assert status.total_ops == ops
        return status.indexed_ops == ops

    return look


def test_the_log_says_what_a_run_did() -> None:
    report = asdict(IndexReport(UUID(int=1), flushed_ops=3)) | {"collection": str(UUID(int=1))}
    record = logging.LogRecord("jobs", logging.INFO, "", 1, "%s", (indexed_event(report),), None)
    assert OneLine().format(record).endswith(f"jobs: indexed collection={UUID(int=1)} flushed_ops=3")


def indexers(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and str(folder) in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.slow
def test_the_background_flushes_and_survives_the_death_of_its_process(engine: Engine, folder: Path) -> None:
    scope = made(engine, "tested")
    assert indexers(folder) == []
    write(engine, scope, 0, 25)
    wait_until(is_indexed(engine, scope, 25), "the first flush")
    (child,) = indexers(folder)
    child.kill()
    write(engine, scope, 25, 30)
    wait_until(is_indexed(engine, scope, 30), "the flush after the kill")
    (second,) = indexers(folder)
    assert second.pid != child.pid
    assert engine.get(scope, Selection(), None, 0, frozenset()).ids == [f"{number}" for number in range(30)]
    engine.close()
    assert indexers(folder) == []


@pytest.mark.slow
def test_a_process_that_hangs_is_named_and_replaced(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hang_watch, "QUIET_SECONDS", 1.0)
    monkeypatch.setattr(hang_watch, "HUNG_SECONDS", 3.0)
    scope = made(engine, "tested")
    write(engine, scope, 0, 25)
    wait_until(is_indexed(engine, scope, 25), "the first flush")
    stopped = indexers(folder)
    for child in stopped:
        child.suspend()
    write(engine, scope, 25, 50)
    wait_until(lambda: not _responds(engine), "the notice")
    wait_until(is_indexed(engine, scope, 50), "the flush after the hang")
    assert _responds(engine)
    assert not {child.pid for child in stopped} & {child.pid for child in indexers(folder)}


def _responds(engine: Engine) -> bool:
    try:
        engine.check()
    except Unavailable:
        return False
    return True


@pytest.mark.slow
def test_the_progress_of_a_build_is_seen_by_every_process(engine: Engine, folder: Path) -> None:
    scope = made(engine, "tested")
    other = Engine(open_local(folder, System()).stores(SETTINGS, System(), NullQueue()))
    rows = 2 * SETTINGS.hnsw_min_rows
    vectors = np.random.default_rng(0).normal(size=(rows, 24)).astype(np.float32)
    engine.write(scope, Batch(Op.ADD, [f"{number}" for number in range(rows)], vectors))
    seen: list[float] = []

    def is_complete() -> bool:
        seen.extend(reader.indexing_status(scope).progress for reader in (engine, other))
        return seen[-1] == 1.0

    wait_until(is_complete, "the build")
    other.close()
    assert seen == sorted(seen)
    assert any(0.5 < progress < 1 for progress in seen)
    assert is_indexed(engine, scope, rows)()


@pytest.mark.slow
def test_a_flush_does_not_wait_for_a_compaction(engine: Engine, folder: Path) -> None:
    scope, other = made(engine, "tested"), open_local(folder, System())
    with other.compaction_lock():
        for first in range(0, 60, 10):
            write(engine, scope, first, first + 10)
            wait_until(partial(_is_flushed, engine, scope, first + 10), "a flush beside a compaction")
        assert len(_segments(engine, scope)) == 6
    wait_until(lambda: len(_segments(engine, scope)) == 1, "the compaction after it")
    assert len(engine.get(scope, Selection(), None, 0, frozenset()).ids) == 60
    other.table.close()


@pytest.mark.slow
def test_the_process_that_compacts_starts_while_the_other_one_flushes(engine: Engine, folder: Path) -> None:
    scope, other = made(engine, "tested"), open_local(folder, System())
    with other.flush_lock():
        write(engine, scope, 0, SETTINGS.hnsw_min_rows)
        wait_until(lambda: len(indexers(folder)) == 2, "the start of both processes")
    wait_until(is_indexed(engine, scope, SETTINGS.hnsw_min_rows), "the index")
    assert [segment.has_graph for segment in _segments(engine, scope)] == [True]
    other.table.close()


def test_what_is_written_during_a_flush_counts_as_waiting(engine: Engine, folder: Path) -> None:
    scope, other, indexer = made(engine, "tested"), open_local(folder, System()), engine._indexer
    assert indexer is not None
    with other.flush_lock():
        write(engine, scope, 0, 10)
        wait_until(lambda: bool(indexer.waiting_ops(scope.collection, 0)), "the look before the flush")
        for last in (20, 30):
            write(engine, scope, last - 10, last)
            assert indexer.waiting_ops(scope.collection, last) == last
    other.table.close()


def _is_flushed(engine: Engine, scope: Scope, ops: int) -> bool:
    return engine.indexing_status(scope).flushed_ops == ops


def _segments(engine: Engine, scope: Scope) -> list[SegmentInfo]:
    key = engine.get_collection_by_id(scope).manifest_key
    assert key is not None
    return list(manifests.load(engine.stores.objects, key).segments)


def test_what_an_earlier_process_left_is_taken_up(folder: Path) -> None:
    never = replace(SETTINGS, flush_ops=1_000, flush_idle_seconds=1_000.0)
    first = start_engine(open_local(folder, System()), never, System())
    scope = made(first, "tested")
    write(first, scope, 0, 5)
    first.close()
    second = start_engine(open_local(folder, System()), SETTINGS, System())
    try:
        wait_until(is_indexed(second, scope, 5), "taking up what was left")
    finally:
        second.close()


def test_a_compaction_that_an_earlier_process_did_not_finish_is_done_after_a_while(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_scheduler, "_RESUME_SECONDS", 0.5)
    never = replace(SETTINGS, flush_ops=1_000, flush_idle_seconds=1_000.0)
    first = start_engine(open_local(folder, System()), never, System())
    scope = made(first, "tested")
    for start in range(0, 30, 5):
        write(first, scope, start, start + 5)
        flush(first.stores, Replica.for_indexer(first.stores, scope.collection).snapshot())
    assert len(_segments(first, scope)) == 6
    first.close()
    second = start_engine(open_local(folder, System()), SETTINGS, System())
    try:
        wait_until(lambda: len(_segments(second, scope)) == 1, "compacting what was left")
        assert second.get(scope, Selection(), None, 0, frozenset()).ids == [f"{number}" for number in range(30)]
    finally:
        second.close()


def test_a_damaged_collection_does_not_keep_others_from_being_taken_up(folder: Path) -> None:
    never = replace(SETTINGS, flush_ops=1_000, flush_idle_seconds=1_000.0)
    first = start_engine(open_local(folder, System()), never, System())
    scopes = [made(first, f"tested-{number}") for number in range(3)]
    for scope in scopes:
        write(first, scope, 0, 5)
    first.close()
    assert len(list(compact_all(open_local(folder, System()), SETTINGS, System()))) == 3
    again = start_engine(open_local(folder, System()), never, System())
    for scope in scopes:
        write(again, scope, 5, 10)
    again.close()
    damaged = min(scopes, key=lambda scope: scope.collection)
    for manifest in (folder / "objects" / str(damaged.collection) / "manifest").iterdir():
        manifest.write_bytes(b"{")
    third = start_engine(open_local(folder, System()), SETTINGS, System())
    try:
        for scope in scopes:
            if scope is not damaged:
                wait_until(is_indexed(third, scope, 10), "taking up a sound collection")
    finally:
        third.close()


def test_the_sweep_finds_what_expired_in_a_collection_nobody_writes_to(folder: Path) -> None:
    never = replace(SETTINGS, flush_ops=1_000, flush_idle_seconds=1_000.0)
    first = start_engine(open_local(folder, System()), never, System())
    metadata, stored = {"afterglow:ttl_key": "until"}, schema.reconcile(None, None, None)
    collection = first.create_collection("default_tenant", "default_database", "tested", metadata, stored)
    scope = Scope("default_tenant", "default_database", collection.id)
    metadatas: list[dict[str, float] | None] = [{"until": 1}, {"until": 2.5}, None]
    first.write(scope, Batch(Op.ADD, ["a", "b", "c"], np.ones((3, 3), dtype=np.float32), metadatas=metadatas))
    flush(first.stores, Replica.for_indexer(first.stores, scope.collection).snapshot())
    first.close()
    second = start_engine(open_local(folder, System()), SETTINGS, System())
    try:
        wait_until(lambda: second.indexing_status(scope).indexed_ops == 5, "deleting what had expired")
        assert Replica(second.stores, scope.collection).snapshot().records == 1
        assert second.get(scope, Selection(), None, 0, frozenset()).ids == ["c"]
    finally:
        second.close()


def test_the_indexer_ends_with_its_standard_input(folder: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "afterglow.jobs.index_worker", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(),
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b'{"collection":"00000000-0000-4000-8000-000000000000","up_to":null}\n')
    child.stdin.flush()
    assert b"00000000-0000-4000-8000-000000000000" in child.stdout.readline()
    assert child.poll() is None
    child.stdin.close()
    assert child.wait(TIMEOUT_SECONDS) == 0
    child.stdout.close()
