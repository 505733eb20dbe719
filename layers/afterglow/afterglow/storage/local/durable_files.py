"""The files of a directory that holds objects: only regular ones are opened, and a move is durable when it returns."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from afterglow.errors import StorageFull, Unavailable
from afterglow.storage.ports import require_descriptor

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_ATTEMPTS = 100


def open_regular(path: str, flags: int) -> int:
    """Open a regular file. Raises FileNotFoundError for anything else; a named pipe would block, a link lead away."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise FileNotFoundError(errno.ENOENT, "not a regular file", path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
    return descriptor


def move_durably(path: Path, move: Callable[[], object]) -> None:
    """Create the folder of `path`, `move` the file there, sync the folder.

    A concurrent `delete` removes a folder that it leaves empty: then all steps are repeated. If the folder is missing
    after the move, the object has been deleted and there is nothing to sync.
    """
    for attempt in range(_ATTEMPTS):
        try:
            _make_parents(path)
            move()
            break
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise
    with suppress(FileNotFoundError):
        _sync_directory(path.parent)


def _make_parents(path: Path) -> None:
    missing = []
    folder = path.parent
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):
        with suppress(FileExistsError):
            folder.mkdir()
        _sync_directory(folder.parent)


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def map_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors with `path` into StorageFull, TooManyOpenFiles or Unavailable."""
    try:
        with require_descriptor(path.name):
            yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(f"no space left to write {path.name}: {error.strerror}") from error
        raise Unavailable(f"{path.name} cannot be read or written: {error.strerror}") from error
