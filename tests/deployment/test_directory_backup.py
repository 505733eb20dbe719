"""Backups of a directory in use: whole, small, and never in the way."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from afterglow.catalog import schema
from afterglow.collection import Engine
from afterglow.collection.types import Scope, Selection
from afterglow.deployment.directory_backup import BackupReport, backup, list_backups
from afterglow.deployment.local import LocalDeployment, open_local
from afterglow.errors import AlreadyExists, InvalidArgument, Unavailable
from afterglow.jobs.start import compact_all, start_engine
from afterglow.log.batch import Batch, Op
from afterglow.settings import Settings, System
from afterglow.storage.ports import ObjectNotFound

PLACE = ("default_tenant", "default_database")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[LocalDeployment]:
    found = open_local(tmp_path / "data", System())
    yield found
    found.table.close()


@pytest.fixture
def engine(directory: LocalDeployment) -> Iterator[Engine]:
    found = start_engine(directory, Settings(flush_idle_seconds=1000), System())
    yield found
    found.close()


def collection(engine: Engine, name: str) -> Scope:
    created = engine.create_collection(*PLACE, name, None, schema.reconcile(None, None, None))
    return Scope(*PLACE, created.id)


def add(engine: Engine, scope: Scope, *names: str, size: int = 10) -> None:
    vectors = np.ones((len(names), 3), dtype=np.float32)
    engine.write(scope, Batch(Op.ADD, list(names), vectors, documents=["x" * size for _ in names]))


def names(path: Path, scope: Scope) -> list[str]:
    """The ids that an engine over a backup returns."""
    engine = start_engine(open_local(path, System()), Settings(), System())
    try:
        return engine.get(scope, Selection(), None, 0, frozenset()).ids
    finally:
        engine.close()


def back_up(directory: LocalDeployment, into: Path, day: int, keep: int | None = None) -> BackupReport:
    return backup(directory, into, System(now=lambda: 1_700_000_000.0 + 86_400 * day), keep=keep)


def test_every_copy_is_complete_and_unchanged_objects_are_linked(
    engine: Engine, directory: LocalDeployment, tmp_path: Path
) -> None:
    scope = collection(engine, "things")
    add(engine, scope, "flushed")
    list(compact_all(directory, Settings(), System()))
    add(engine, scope, "in the table")
    add(engine, scope, "in an object", size=40_000)
    first = back_up(directory, tmp_path / "backups", 0)
    assert first.path == tmp_path / "backups" / "20231114T221320Z"
    assert first.new == first.objects > 1
    add(engine, scope, "later", size=40_000)
    second = back_up(directory, tmp_path / "backups", 1)
    assert (second.objects, second.new, second.removed) == (first.objects + 1, 1, ())
    assert {path.stat().st_nlink for path in (second.path / "objects").rglob("*") if path.is_file()} == {1, 2}
    assert names(first.path, scope) == ["flushed", "in the table", "in an object"]
    assert names(second.path, scope) == ["flushed", "in the table", "in an object", "later"]


def test_a_copy_is_used_and_the_others_stay_as_they_are(
    engine: Engine, directory: LocalDeployment, tmp_path: Path
) -> None:
    scope = collection(engine, "things")
    add(engine, scope, "a", size=40_000)
    copies = [back_up(directory, tmp_path / "backups", day).path for day in range(2)]
    restored = open_local(copies[0], System())
    again = start_engine(restored, Settings(gc_grace_seconds=0), System())
    again.delete_collection(*PLACE, "things")
    list(compact_all(restored, Settings(gc_grace_seconds=0), System()))
    again.close()
    assert names(copies[1], scope) == ["a"]
    assert names(directory.path, scope) == ["a"]


def test_the_oldest_backups_are_deleted(engine: Engine, directory: LocalDeployment, tmp_path: Path) -> None:
    into = tmp_path / "backups"
    created = [back_up(directory, into, day, keep=2) for day in range(4)]
    assert list_backups(into) == [created[2].path, created[3].path]
    assert [len(backup.removed) for backup in created] == [0, 0, 1, 1]
    (into / "notes").mkdir()
    back_up(directory, into, 4, keep=1)
    assert sorted(path.name for path in into.iterdir()) == ["20231118T221320Z", "notes"]


def test_without_links_everything_is_copied(engine: Engine, directory: LocalDeployment, tmp_path: Path) -> None:
    add(engine, collection(engine, "things"), "a", size=40_000)
    back_up(directory, tmp_path / "backups", 0)
    with mock.patch.object(Path, "hardlink_to", side_effect=PermissionError):
        created = back_up(directory, tmp_path / "backups", 1)
    assert created.new == created.objects


def test_what_a_crash_left_is_removed(engine: Engine, directory: LocalDeployment, tmp_path: Path) -> None:
    (tmp_path / "backups" / ".unfinished" / "objects").mkdir(parents=True)
    created = back_up(directory, tmp_path / "backups", 0)
    assert list((tmp_path / "backups").iterdir()) == [created.path]


def test_nothing_is_left_of_one_that_failed(engine: Engine, directory: LocalDeployment, tmp_path: Path) -> None:
    add(engine, collection(engine, "things"), "a", size=40_000)
    with (
        mock.patch.object(shutil, "copy2", side_effect=OSError(28, "no space")),
        pytest.raises(OSError, match="no space"),
    ):
        back_up(directory, tmp_path / "backups", 0)
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_collection_that_goes_meanwhile(engine: Engine, directory: LocalDeployment, tmp_path: Path) -> None:
    scope = collection(engine, "stays")
    add(engine, scope, "a", size=40_000)
    add(engine, collection(engine, "goes"), "b", size=40_000)
    real = directory.table.backup_to
    dropped: list[Path] = []

    def backup_to(path: Path) -> None:
        real(path)
        if not dropped:
            dropped.append(path)
            engine.delete_collection(*PLACE, "goes")
            for info in list(directory.objects.list("")):
                if str(scope.collection) not in info.key:
                    directory.objects.delete(info.key)

    with mock.patch.object(type(directory.table), "backup_to", side_effect=backup_to):
        created = back_up(directory, tmp_path / "backups", 0)
    assert dropped
    assert names(created.path, scope) == ["a"]
    restored = start_engine(open_local(created.path, System()), Settings(), System())
    assert restored.count_collections(*PLACE) == 1
    restored.close()


def test_it_waits_for_the_indexer(engine: Engine, directory: LocalDeployment, tmp_path: Path) -> None:
    created: list[BackupReport] = []
    thread = threading.Thread(target=lambda: created.append(back_up(directory, tmp_path / "backups", 0)))
    with directory.exclusive_lock():
        thread.start()
        thread.join(0.2)
        assert not created
    thread.join(30)
    assert created


def test_what_cannot_be(engine: Engine, directory: LocalDeployment, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="is in the data directory"):
        back_up(directory, directory.path / "backups", 0)
    back_up(directory, tmp_path / "backups", 0)
    with pytest.raises(AlreadyExists, match="one backup per second"):
        back_up(directory, tmp_path / "backups", 0)
    add(engine, collection(engine, "things"), "a", size=40_000)
    with (
        mock.patch.object(type(directory.objects), "local_path", side_effect=ObjectNotFound("gone")),
        pytest.raises(Unavailable, match="try again"),
    ):
        back_up(directory, tmp_path / "backups", 1)
    assert [path.name for path in (tmp_path / "backups").iterdir()] == ["20231114T221320Z"]
