"""Copies of a data directory that is in use, each a data directory of its own, in a folder side by side.

1. Hold the indexer lock, so that no object the table names is replaced and removed meanwhile. Reads and writes go on.
2. List the objects, copy the table (as it is at one moment), list the objects again: whatever the copy of the table
   names is in one of the lists, as an object comes before what names it.
3. Copy the objects. What the newest earlier copy has too is not copied but linked to it: objects never change. One that
   has gone was a dropped collection's, which the lock does not hold back; then all begins anew.
4. Sync, and only then give the copy its name, the time. What a crash leaves has none yet; the next one removes it.
"""

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from afterglow.deployment.local import OBJECTS, TABLE, LocalDeployment
from afterglow.errors import AlreadyExists, InvalidArgument, Unavailable
from afterglow.settings import System
from afterglow.storage.ports import ObjectInfo, ObjectNotFound

_NAME = "%Y%m%dT%H%M%SZ"
_NAMED = re.compile(r"\d{8}T\d{6}Z")
_UNFINISHED = ".unfinished"
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup holds: `new` of its objects the one before did not have, `removed` are older ones given up."""

    path: Path
    objects: int
    new: int
    removed: tuple[Path, ...]


def backup(directory: LocalDeployment, into: Path, system: System, *, keep: int | None = None) -> BackupReport:
    """Copy the directory into the folder `into`, made if missing; keep no more than the `keep` newest copies there.

    Raises InvalidArgument where `into` is inside of the directory, AlreadyExists for two within a second, Unavailable,
    StorageFull, and OSError for what else `into` has against it; nothing of this copy is left then.
    """
    if into.resolve().is_relative_to(directory.path.resolve()):
        raise InvalidArgument(f"{into} is in the data directory that is to be copied")
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = into / _UNFINISHED
    with directory.exclusive_lock():
        earlier = list_backups(into)
        target = into / datetime.fromtimestamp(system.now(), UTC).strftime(_NAME)
        if target.exists():
            raise AlreadyExists(f"{target} is there already: there can be one backup a second")
        try:
            objects, new = _copy(directory, unfinished, earlier[-1] if earlier else None)
            os.sync()
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        os.sync()
    copies = [*earlier, target]
    removed = tuple(copies[: max(0, len(copies) - keep)]) if keep else ()
    for each in removed:
        shutil.rmtree(each)
    return BackupReport(target, objects, new, removed)


def list_backups(into: Path) -> list[Path]:
    """The copies in the folder, oldest first."""
    return sorted(each for each in into.iterdir() if _NAMED.fullmatch(each.name))


def _copy(directory: LocalDeployment, target: Path, before: Path | None) -> tuple[int, int]:
    """Copy everything; the numbers of objects, and of those not linked."""
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError):
            shutil.rmtree(target)
        target.mkdir(mode=0o700)
        objects = {each.key: each for each in directory.objects.list("")}
        directory.table.backup_to(target / TABLE)
        objects |= {each.key: each for each in directory.objects.list("")}
        try:
            return len(objects), sum(_copy_object(directory, each, target, before) for each in objects.values())
        except ObjectNotFound:
            continue
    raise Unavailable(f"{directory.path}: collections are being dropped all the time; try again")


def _copy_object(directory: LocalDeployment, info: ObjectInfo, target: Path, before: Path | None) -> bool:
    """Whether it had to be copied. Raises ObjectMissing."""
    source = directory.objects.local_path(info.key)
    path = target / OBJECTS / info.key
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if before is not None:
        with suppress(OSError):  # it is not there, or files cannot be linked where the copies are
            known = before / OBJECTS / info.key
            if known.stat().st_size == info.size:
                path.hardlink_to(known)
                return False
    try:
        shutil.copy2(source, path)
    except FileNotFoundError:
        raise ObjectNotFound(f"object {info.key} is not there") from None
    return True
