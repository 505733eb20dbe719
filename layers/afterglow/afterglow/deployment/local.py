"""A data directory as a place: its stores, the lock that keeps two indexers apart.

::

    table.sqlite       names, states, the log (with -wal and -shm beside it while open)
    objects/           batches, segments, manifests
    indexer.lock       held by the indexer process while it works
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from afterglow.errors import Corrupt, NotFound, Unavailable
from afterglow.settings import Settings, System
from afterglow.storage.local.objects import DirectoryObjects
from afterglow.storage.local.table import SqliteTable
from afterglow.storage.ports import Queue, Stores

TABLE = "table.sqlite"
OBJECTS = "objects"
LOCK = "indexer.lock"
_TEMPORARY_FILE_SECONDS = 600.0
_VACUUM_PAGES = 20_000


@dataclass(frozen=True, slots=True)
class LocalDeployment:
    """An open data directory."""

    path: Path
    table: SqliteTable
    objects: DirectoryObjects
    queue: None = None

    def stores(self, settings: Settings, system: System, queue: Queue) -> Stores:
        """The directory's stores, with `queue` for nudges."""
        return Stores(self.table, self.objects, queue, settings, system)

    @contextmanager
    def exclusive_lock(self, *, wait: bool = True) -> Iterator[bool]:
        """Hold the directory's indexer lock; whether it was had."""
        with file_lock(self.path / LOCK, wait=wait) as is_alone:
            yield is_alone

    def reclaim_space(self, system: System, *, thorough: bool) -> None:
        """Remove files of crashed writes, and give free pages back.

        Leftovers are left where an indexer works: it may have begun its files long ago.
        """
        with self.exclusive_lock(wait=False) as is_alone:
            if is_alone:
                self.objects.remove_stale_temporary_files(system.now() - _TEMPORARY_FILE_SECONDS)
        self.table.vacuum(None if thorough else _VACUUM_PAGES)

    def worker_argument(self) -> str:
        """The path."""
        return str(self.path)


@contextmanager
def file_lock(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock that a file stands for, which the death of its holder frees; whether it was had."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def require_data_directory(path: Path) -> Path:
    """`path`, which is a data directory. Raises NotFound."""
    if not (path / TABLE).is_file():
        raise NotFound(f"{path}: no data directory, there is no {TABLE} in it")
    return path


def open_local(path: Path, system: System) -> LocalDeployment:
    """Open the data directory `path`, which is created when missing. Raises Corrupt, StorageFull, Unavailable.

    It is only taken for a new one where nothing in it shows that there was a table before.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"data directory {path} cannot be used: {error.strerror}") from error
    objects = DirectoryObjects(path / OBJECTS, system)
    _refuse_lost_table(path, objects)
    return LocalDeployment(path, SqliteTable(path / TABLE), objects)


def _refuse_lost_table(path: Path, objects: DirectoryObjects) -> None:
    """Raises Corrupt where the table is missing or empty, but what is only ever written after it is there.

    What comes after is looked at first: of a directory that another process is just making, the table may appear in
    between, but never the other way round.
    """
    write_ahead = path / f"{TABLE}-wal"
    rest = OBJECTS if not objects.is_empty() else write_ahead.name if _has_content(write_ahead) else None
    if rest is not None and not _has_content(path / TABLE):
        raise Corrupt(
            f"{path / TABLE} is missing or empty, but {rest} beside it is not: restore the directory from a backup, "
            f"or start on an empty one"
        )


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
