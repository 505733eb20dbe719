"""The deployment in a data directory: its stores, and the locks that exclude a second indexer.

::

    table.sqlite       names, states, the log (with -wal and -shm next to it while open)
    objects/           batches, segments, manifests
    indexer.lock       held by a process while it flushes
    compactor.lock     held by a process while it compacts; its content is the progress (`storage.builds`)
    reserve            holds space for deletions on a full disk (`storage.local.reserve`)
    imports/           watched folder for files to import, if its owner creates it
    models/            the local embedding model, if there is no home directory for it (`deployment.model_folder`)
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from afterglow.deployment.file_lock import COMPACTOR_LOCK, INDEXER_LOCK, both_locks, file_lock
from afterglow.deployment.model_folder import MODELS, with_model_folder
from afterglow.errors import Corrupt, NotFound, Unavailable
from afterglow.settings import Settings, System
from afterglow.storage.builds import Builds
from afterglow.storage.local.objects import DirectoryObjects
from afterglow.storage.local.table import SqliteTable
from afterglow.storage.ports import Queue, Stores
from afterglow.storage.private_folder import make_private, make_private_file

TABLE = "table.sqlite"
OBJECTS = "objects"
RESERVE = "reserve"
_NAMES = frozenset(
    {
        TABLE,
        f"{TABLE}-wal",
        f"{TABLE}-shm",
        f"{TABLE}-journal",
        OBJECTS,
        RESERVE,
        INDEXER_LOCK,
        COMPACTOR_LOCK,
        "imports",
        MODELS,
    }
)
_VACUUM_PAGES = 20_000


@dataclass(frozen=True, slots=True)
class LocalDeployment:
    """An open data directory."""

    path: Path
    table: SqliteTable
    objects: DirectoryObjects
    queue: None = None

    def stores(self, settings: Settings, system: System, queue: Queue) -> Stores:
        """The stores of the directory, with `queue` for notifications of the indexer."""
        builds = Builds(self.path / COMPACTOR_LOCK)
        return Stores(self.table, self.objects, queue, with_model_folder(settings, self.path), system, builds=builds)

    def exclusive_lock(self, *, wait: bool = True) -> AbstractContextManager[bool]:
        """Hold the locks of indexer and compactor of the directory; whether they are held."""
        return both_locks(self.path, wait=wait)

    def flush_lock(self) -> AbstractContextManager[bool]:
        """Hold the lock of the indexer of the directory."""
        return file_lock(self.path / INDEXER_LOCK, wait=True)

    def compaction_lock(self) -> AbstractContextManager[bool]:
        """Hold the lock of the compactor of the directory."""
        return file_lock(self.path / COMPACTOR_LOCK, wait=True)

    def reclaim_space(self, system: System, *, thorough: bool) -> None:
        """Remove files of processes that have ended, and vacuum the table."""
        del system
        self.objects.remove_abandoned_files()
        self.table.vacuum(None if thorough else _VACUUM_PAGES)

    def problems(self) -> list[str]:
        """What is damaged in the table, one sentence each."""
        return self.table.problems()

    def worker_argument(self) -> str:
        """The path of the directory."""
        return str(self.path)


def require_data_directory(path: Path) -> Path:
    """`path`, if it is a data directory. Raises NotFound."""
    if not (path / TABLE).is_file():
        raise NotFound(f"{path}: not a data directory, it has no {TABLE}")
    return path


def open_local(path: Path, system: System, *, read_only: bool = False) -> LocalDeployment:
    """Open the data directory `path`, created if missing. Raises Corrupt, StorageFull, Unavailable.

    Others get no access to it (`storage.private_folder`).
    A directory counts as new only if nothing in it shows that it had a table before. With `read_only` the directory
    must exist; nothing in it is created or changed, and no permission to write is needed.
    """
    if not read_only:
        try:
            make_private(path, _NAMES)
            make_private(path / OBJECTS)
        except OSError as error:
            raise Unavailable(f"data directory {path} cannot be used: {error.strerror}") from error
    objects = DirectoryObjects(path / OBJECTS, system, reserve=path / RESERVE, read_only=read_only)
    _refuse_lost_table(path, objects)
    if not read_only:
        objects.remove_abandoned_files()
        make_private_file(path / TABLE)
    return LocalDeployment(path, SqliteTable(path / TABLE, read_only=read_only), objects)


def _refuse_lost_table(path: Path, objects: DirectoryObjects) -> None:
    """Raise Corrupt if the table is missing or empty, but data exists that is only written after the table.

    That data is checked first: while another process creates the directory, the table may appear in between, but never
    the other way round.
    """
    write_ahead = path / f"{TABLE}-wal"
    rest = OBJECTS if not objects.is_empty() else write_ahead.name if _has_content(write_ahead) else None
    if rest is not None and not _has_content(path / TABLE):
        raise Corrupt(
            f"{path / TABLE} is missing or empty, but {rest} next to it is not: restore the directory from a backup, "
            f"or start on an empty one"
        )


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
