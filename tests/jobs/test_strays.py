"""Objects of a collection that are not ours are ignored by every job, and stay; no error ends a background loop."""

import logging
import os
import shutil
import threading
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from afterglow.collection.replica.replica import Replica
from afterglow.deployment.base import NullQueue
from afterglow.deployment.directory_backup import backup, list_backups
from afterglow.deployment.local import LocalDeployment, open_local
from afterglow.jobs import every_collection, gc, index_worker, maintenance, purge, reachability, verify
from afterglow.jobs.index_scheduler import IndexScheduler
from afterglow.jobs.indexer import index
from afterglow.settings import Settings, System
from afterglow.storage.local.queue import ThreadQueue
from afterglow.storage.ports import Stores
from tests.jobs.environment import Environment

NAMES = (".DS_Store", "notes.txt", "0", "manifest/.DS_Store", "manifest/1-2-3.json", "manifest/sub/x", "log/.DS_Store")
MORE = ("log/0.batch", "log/sub/00-a.batch", "archive/.DS_Store", "archive/1-2-3-4.log", "segments/.DS_Store")
ODD = ("segments/abc/README", "segments/abc/sub/rows", "Thumbs.db", "log/\u202e\n", "manifest/%00", "log/ä", "dead/x")


@pytest.fixture
def strays(env: Environment) -> list[str]:
    """Objects that are not ours, older than all of ours, in every folder of the collection."""
    keys = [f"{env.id}/{name}" for name in (*NAMES, *MORE, *ODD)]
    for key in keys:
        env.stores.objects.put(key, b"not ours")
    return keys


def work(env: Environment) -> None:
    """Enough writes, flushes and compactions for every kind of object."""
    for number in range(4):
        env.write(*(f"{number}-{row}" for row in range(40)))
        index(env.stores, env.replica(), env.id, idle=True)
    env.wait_for_grace()


@pytest.mark.parametrize("retention_seconds", [0.0, 500.0])
def test_jobs_ignore_strays(env: Environment, strays: list[str], retention_seconds: float) -> None:
    env.stores = replace(env.stores, settings=replace(env.stores.settings, retention_seconds=retention_seconds))
    env.stores.objects.put(f"{env.id}/segments/{'0' * 24}/rows", b"of a flush that was killed")
    work(env)
    ours = [key for key in env.objects() if key not in strays]
    assert all(reachability.is_own_key(key, env.id) for key in ours)
    assert gc.collect_garbage(env.stores, env.id) > 0
    assert set(strays) <= set(env.objects())
    assert len(env.ids()) == 160
    assert maintenance.collect(env.stores, lambda: True).damaged == 0


def test_verification_notes_strays(env: Environment, strays: list[str]) -> None:
    work(env)
    (target,) = every_collection.all_collections(env.stores)
    report = verify.verify(env.stores, target)
    assert report is not None
    assert report.problems == []
    assert len(report.notes) == len(strays)
    assert all(any(repr(key) in note for note in report.notes) for key in strays)


def test_a_purge_leaves_strays(env: Environment, strays: list[str]) -> None:
    work(env)
    from afterglow.catalog import collections

    collections.drop(env.stores.table, env.stores.system, env.id, skip_retention=True)
    for _ in range(3):
        env.wait_for_grace()
        env.wait_for_placeholders()
        purge.purge_dropped(env.stores)
    assert sorted(env.objects()) == sorted(strays)
    assert collections.by_id(env.stores.table, env.id) is None


def test_one_collection_in_error_does_not_delay_the_others(
    env: Environment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> int:
        raise ValueError("unforeseen")

    monkeypatch.setattr(gc, "collect_garbage", fail)
    assert maintenance.collect(env.stores, lambda: True).damaged == 1
    assert maintenance.clean_up(env.stores, lambda: True, 10**9).damaged == 1
    assert f"collection {env.id} is damaged: unforeseen" in caplog.text


def test_no_error_ends_the_queue(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterglow.storage.local.queue._FIRST_RETRY_SECONDS", 0.001)
    failures, done = [], threading.Event()

    def handle(group: str, body: str) -> None:
        if group == "bad":
            failures.append(body)
            if len(failures) == 4:
                done.set()
            raise KeyError("unforeseen")

    queue = ThreadQueue(System())
    queue.start(handle)
    queue.send("bad", "")
    assert done.wait(20)
    queue.send("good", "")
    queue.close()
    messages = [record.getMessage() for record in caplog.records]
    assert len([message for message in messages if "handling bad failed" in message]) == 1


def test_no_error_ends_the_process_of_the_indexer(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("unforeseen")

    monkeypatch.setattr(index_worker, "flush_log", fail)
    deployment: Any = type("Deployment", (), {"flush_lock": lambda _: nullcontext(True)})()
    replicas: dict[UUID, Replica] = {}
    reply = index_worker._reply(deployment, env.stores, replicas, {"collection": str(env.id), "up_to": None})
    assert "unexpected ValueError('unforeseen')" in reply["error"]
    assert "test_strays.py" in reply["error"]
    assert replicas == {}
    assert "unexpected" in index_worker._reply(deployment, env.stores, replicas, {"collection": "no id"})["error"]


def test_a_failed_task_of_the_maintenance_does_not_prevent_the_next(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("unforeseen")

    collected = []
    scheduler = IndexScheduler(_deployment(env.stores), env.stores, ThreadQueue(env.stores.system))
    monkeypatch.setattr("afterglow.jobs.index_scheduler.maintain", fail)
    monkeypatch.setattr(maintenance, "collect", lambda stores, has_time: collected.append(stores))
    env.clock.skipped += 10_000
    with pytest.raises(ValueError, match="unforeseen"):
        scheduler.handle("maintain", "")
    assert collected == [env.stores]


def _deployment(stores: Stores) -> Any:
    return type("Deployment", (), {"exclusive_lock": lambda _, wait: nullcontext(True), "stores": stores})()


@pytest.fixture
def directory(tmp_path: Path) -> LocalDeployment:
    deployment = open_local(tmp_path / "data", System())
    deployment.objects.put("c/ours", b"ours")
    return deployment


def test_backups_neither_follow_nor_remove_what_is_not_theirs(directory: LocalDeployment, tmp_path: Path) -> None:
    into, outside = tmp_path / "backups", tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"victim")
    into.mkdir()
    (into / "20000101T000000Z").symlink_to(outside)
    (into / "20000102T000000Z").write_bytes(b"a file")
    (tmp_path / "data/objects/c/link").symlink_to(outside / "file")
    (tmp_path / "data/objects/linked").symlink_to(outside)
    report = backup(directory, into, System(), keep=1)
    assert report.removed == ()
    assert list_backups(into) == [report.path]
    copied = {str(path.relative_to(report.path)) for path in report.path.rglob("*") if path.is_file()}
    assert copied == {"table.sqlite", "objects/c/ours"}
    assert sorted(path.name for path in outside.iterdir()) == ["file"]
    # A link in the previous backup is not linked again.
    (report.path / "objects/c/ours").unlink()
    (tmp_path / "same size").write_bytes(b"evil")
    (report.path / "objects/c/ours").symlink_to(tmp_path / "same size")
    shutil.move(report.path, into / "20000103T000000Z")
    second = backup(directory, into, System())
    assert (second.path / "objects/c/ours").read_bytes() == b"ours"
    assert not (second.path / "objects/c/ours").is_symlink()


def test_a_started_server_indexes_next_to_strays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The child process of the indexer, with strays on the disk."""
    from afterglow.collection import Engine
    from afterglow.jobs.start import start_engine
    from tests.support.stores import new_collection

    caplog.set_level(logging.WARNING)
    system, settings = System(), Settings(flush_idle_seconds=0.05, gc_grace_seconds=0.0)
    deployment = open_local(tmp_path, system)
    stores = deployment.stores(settings, system, NullQueue())
    scope, collection = new_collection(stores)
    for name in (*NAMES, *MORE, *ODD):
        stores.objects.put(f"{collection.id}/{name}", b"not ours")
    os.mkfifo(tmp_path / "objects" / str(collection.id) / "log" / "pipe")
    environment = Environment(stores, None, scope, collection.id)  # type: ignore[arg-type]
    engine: Engine = start_engine(deployment, settings, system)
    try:
        environment.write(*(f"{row}" for row in range(40)))
        engine.stores.queue.send(str(collection.id), "")
        deadline = system.monotonic() + 40
        while environment.state().manifest_key is None:
            assert system.monotonic() < deadline, caplog.text
            system.sleep(0.05)
    finally:
        engine.close()
    assert "failed" not in caplog.text
