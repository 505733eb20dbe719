"""The folder of a disk cache (`storage.aws.disk_cache`): its parts, who owns them, and what they take on disk."""

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from afterglow.settings import System

FILES, WORK = "files-", "work"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BLOCK_BYTES = 512
"""The unit of `st_blocks` (POSIX)."""


def boot_id() -> str:
    """Return the id of this boot of the machine, if the system has one."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "any"


def create_work_folder(parent: Path, system: System) -> tuple[Path, int]:
    """Create and lock a folder for this process; return it and the descriptor that holds the lock."""
    parent.mkdir(exist_ok=True)
    while True:
        path = parent / system.nonce()
        path.mkdir()
        with suppress(FileNotFoundError):  # another process removed it as stale before it was locked
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_ino in [entry.inode() for entry in os.scandir(parent)]:
                return path, descriptor
            os.close(descriptor)


def remove_work_folder(path: Path, descriptor: int) -> None:
    """Remove the folder and unlock it."""
    shutil.rmtree(path, ignore_errors=True)
    os.close(descriptor)


def remove_stale(folder: Path, files: Path, work: Path) -> None:
    """Remove the folders of crashed processes and the copies of earlier boots."""
    for path in folders(folder):
        if path.name.startswith(FILES) and path != files:
            shutil.rmtree(path, ignore_errors=True)
    for path in folders(folder / WORK):
        if path != work:
            with suppress(FileNotFoundError):
                remove_if_unlocked(path)


def remove_if_unlocked(path: Path) -> bool:
    """Remove a file or folder unless another process has locked it; return whether it was removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, or a socket
            return False
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)


def folders(parent: Path) -> list[Path]:
    """The folders in `parent`, without links to folders."""
    with os.scandir(parent) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]


def files_with_status(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Iterate over the regular files of a folder with their `stat` results; links, also to folders, are skipped."""
    if folder.is_symlink():
        return
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    yield path, status


def stored_bytes(status: os.stat_result) -> int:
    """The bytes of a file on disk, at most its length: a sparse file has fewer."""
    return min(status.st_size, status.st_blocks * _BLOCK_BYTES)


def allocate_blocks(descriptor: int, size: int) -> None:
    """Give the file `size` bytes on disk. Raises OSError when there are not as many."""
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)
