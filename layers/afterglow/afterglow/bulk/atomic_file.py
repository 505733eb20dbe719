"""Atomic files: written under a temporary name, synced, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from afterglow.errors import AlreadyExists, NotFound
from afterglow.settings import System

UNFINISHED = ".unfinished"


def require_absent(path: Path) -> None:
    """Raises AlreadyExists if there is a file: an export replaces none."""
    if path.exists():
        raise AlreadyExists(f"{path} is there already")


def require_folder(path: Path) -> None:
    """Raises NotFound if the folder to write a file in is missing."""
    if not path.parent.is_dir():
        raise NotFound(f"{path.parent}: no such directory, to write {path.name} in")


@contextmanager
def atomic_write(path: Path, system: System) -> Iterator[Path]:
    """A temporary path that becomes `path` if the block ends without an exception. Raises OSError."""
    scratch = path.with_name(f".{path.name}.{system.nonce()}{UNFINISHED}")
    try:
        yield scratch
        with scratch.open("rb+") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
