"""Backups of a data directory in use: each is a data directory of its own, in a folder next to the others.

1. Hold the indexer lock, so that no object that the table names is replaced and removed meanwhile. Reads and writes
   continue.
2. List the objects, copy the table (as of one point in time), list the objects again: whatever the copy of the table
   names is in one of the lists, because an object is written before what names it.
3. Copy the objects. An object that the previous backup has too is hard-linked instead of copied: objects never change.
   A missing object belonged to a dropped collection, which the lock does not delay; then start over.
4. Sync, and only then give the backup its name, the time. *Crash before: the next backup removes the unnamed rest.*
"""

import os
import re
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from afterglow.deployment.local import OBJECTS, TABLE, LocalDeployment
from afterglow.errors import AlreadyExists, InvalidArgument, Unavailable
from afterglow.settings import System
from afterglow.storage.ports import ObjectInfo, ObjectNotFound

_NAME = "%Y%m%dT%H%M%SZ"
_NAME_PATTERN = re.compile(r"\d{8}T\d{6}Z")
_UNFINISHED = ".unfinished"
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class BackupReport:
    """A finished backup: `new` counts objects that the previous one does not have, `removed` are deleted backups."""

    path: Path
    objects: int
    new: int
    removed: tuple[Path, ...]


def backup(directory: LocalDeployment, into: Path, system: System, *, keep: int | None = None) -> BackupReport:
    """Back the directory up into the folder `into`, created if missing; retain only the `keep` newest backups there.

    Raises InvalidArgument if `into` is inside of the directory, AlreadyExists for two backups within a second,
    Unavailable, StorageFull, and OSError for other problems with `into`; a failed backup leaves nothing.
    """
    if into.resolve().is_relative_to(directory.path.resolve()):
        raise InvalidArgument(f"{into} is in the data directory to back up")
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = into / _UNFINISHED
    with directory.exclusive_lock():
        earlier = list_backups(into)
        target = into / datetime.fromtimestamp(system.now(), UTC).strftime(_NAME)
        if target.exists():
            raise AlreadyExists(f"{target} exists already: there can be one backup per second")
        try:
            objects, new = _copy_all(directory, unfinished, earlier[-1] if earlier else None)
            os.sync()
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        os.sync()
    backups = [*earlier, target]
    removed = tuple(backups[: max(0, len(backups) - keep)]) if keep else ()
    for path in removed:
        shutil.rmtree(path)
    return BackupReport(target, objects, new, removed)


def list_backups(into: Path) -> list[Path]:
    """The backups in the folder, oldest first; links and files with such a name are none, and stay."""
    return sorted(
        path
        for path in into.iterdir()
        if _NAME_PATTERN.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    )


def _copy_all(directory: LocalDeployment, target: Path, previous: Path | None) -> tuple[int, int]:
    """Copy everything; the number of objects, and the number of those that are not linked."""
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError):
            shutil.rmtree(target)
        target.mkdir(mode=0o700)
        objects = {info.key: info for info in directory.objects.list("")}
        directory.table.backup_to(target / TABLE)
        objects |= {info.key: info for info in directory.objects.list("")}
        try:
            return len(objects), sum(_copy_object(directory, info, target, previous) for info in objects.values())
        except ObjectNotFound:
            continue
    raise Unavailable(f"{directory.path}: collections are dropped faster than they can be copied; try again")


def _copy_object(directory: LocalDeployment, info: ObjectInfo, target: Path, previous: Path | None) -> bool:
    """Copy or link one object; whether it was copied. Raises ObjectNotFound."""
    source = directory.objects.local_path(info.key)
    path = target / OBJECTS / info.key
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if previous is not None:
        with suppress(OSError):  # not in the previous backup, or the file system has no hard links
            linked = previous / OBJECTS / info.key
            status = linked.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_size == info.size:
                path.hardlink_to(linked)
                return False
    try:
        shutil.copy2(source, path)
    except FileNotFoundError:
        raise ObjectNotFound(f"object {info.key} does not exist") from None
    return True
