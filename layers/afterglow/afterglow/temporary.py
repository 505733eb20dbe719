"""Temporary folders that no killed process leaves behind for good.

A folder is locked (`flock`, on the folder itself) as long as it is used, and the system releases the lock with the
process. A new folder takes these steps:

1. Remove the folders of killed processes: those with a name of ours, owned by this user, that nobody has locked.
2. Create the folder, open it and lock it.
3. If another process removed it between the two (its step 1), go back to 2.

A crash after any step leaves a folder without a lock, which the next step 1 of any process removes. A child process
that uses the folder longer than its parent inherits `descriptor`, and with it the lock. On a file system without locks
nothing is removed.
"""

import fcntl
import os
import re
import shutil
import tempfile
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self


class Purpose(StrEnum):
    """What a folder is for; a part of its name."""

    METRICS = "metrics"
    """Files through which the workers of a server share their metrics."""
    RESCUE = "rescue"
    """The inventory of a damaged Chroma directory."""
    IMPORT = "import"
    """A file on the way into a collection."""
    READ = "read"
    """A copy of a table that must not be written."""
    DEMO = "demo"
    """The data of `afterglow demo`."""
    EPHEMERAL = "ephemeral"
    """The data of the ephemeral client."""


_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NAME = re.compile(rf"afterglow-(?:{'|'.join(Purpose)})[.][a-z0-9_]{{8}}")


class TemporaryFolder:
    """A new, empty folder that only this user may read; `close` removes it. Raises OSError."""

    def __init__(self, purpose: Purpose) -> None:
        remove_abandoned()
        self._open = True
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=f"afterglow-{purpose}."))
            with suppress(FileNotFoundError):
                self.descriptor = os.open(self.path, _FLAGS)
                with suppress(OSError):
                    fcntl.flock(self.descriptor, fcntl.LOCK_EX)
                if _is_named(self.descriptor, self.path):
                    return
                os.close(self.descriptor)

    def close(self) -> None:
        """Remove the folder with its content. Has no effect the second time."""
        if self._open:
            self._open = False
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def remove_abandoned() -> None:
    """Remove the folders of killed processes, as far as they can be listed. Has no error."""
    found: list[Path] = []
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        found = [Path(entry.path) for entry in entries if _NAME.fullmatch(entry.name) and _is_own(entry)]
    for path in found:
        with suppress(OSError):
            _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    """Remove the folder unless a process has locked it. Raises OSError if one has, or without locks."""
    descriptor = os.open(path, _FLAGS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_named(descriptor, path):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)


def _is_own(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder of this user, not a link to one. No, if it is removed meanwhile."""
    try:
        return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid()
    except FileNotFoundError:
        return False


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether the path still leads to the folder that was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
