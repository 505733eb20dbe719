"""Temporary files of one process, in a folder of its own that is locked for as long as the process lives.

::

    .scratch/<nonce>.lock      locked by its process (flock); a lock ends with the process, however that ends
    .scratch/<nonce>/          the process's temporary files

The folder is created for the first file. Any process may remove the folder of a process that has ended, at once and
without knowing its age: the lock can be taken then. The folder goes before its lock file. *Crash between: the next
removal finds the lock file.*
"""

import fcntl
import os
import shutil
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

from afterglow.settings import System

LOCK_SUFFIX = ".lock"
_ATTEMPTS = 10


class Scratch:
    """The temporary files of this process below `folder`, which exists. Safe for any number of threads."""

    def __init__(self, folder: Path, system: System) -> None:
        self._folder = folder
        self._system = system
        self._guard = threading.Lock()
        self._own: Path | None = None

    def path(self, name: str) -> Path:
        """A path for a new file. Raises OSError."""
        with self._guard:
            own = self._own
            if own is None or not own.is_dir():
                own = self._own = self._create()
        return own / name

    def _create(self) -> Path:
        for _ in range(_ATTEMPTS):
            name = self._system.nonce()
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(self._folder / f"{name}{LOCK_SUFFIX}", flags, 0o600)
            weakref.finalize(self, os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            # Another process may have taken the lock, and removed the file, before this one could.
            if os.fstat(descriptor).st_nlink:
                own = self._folder / name
                own.mkdir()
                return own
        raise OSError(f"{self._folder} cannot hold a folder of this process")

    def remove_abandoned(self) -> None:
        """Remove the files of processes that have ended. Raises OSError."""
        if self._folder.is_symlink():  # the files of its target are not ours
            return
        for path in list(self._folder.glob(f"*{LOCK_SUFFIX}")):
            if path.is_symlink() or not path.is_file():
                continue
            for _ in _exclusive(path):
                folder = path.with_suffix("")
                if folder.is_dir() and not folder.is_symlink():
                    shutil.rmtree(folder)
                path.unlink()


def _exclusive(path: Path) -> Iterator[None]:
    """Yields once with the lock held, or not at all if a process holds it."""
    with suppress(FileNotFoundError, BlockingIOError), FileIO(path, "r") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
