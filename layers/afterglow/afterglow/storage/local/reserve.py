"""The reserve: a file that only holds space, so that a full disk can still be emptied through the API.

1. Before an ordinary write: the reserve must exist; create it if it does not. *No space for it: the write is refused,
   so that only deletions use what the reserve gave up.*
2. A deletion that finds no space gives the reserve up and is repeated.
3. Once space is free again, the next ordinary write creates the reserve.

Its content is never read. *Crash at any point: the file exists or not; one that is too short is completed by step 1.*
"""

import os
from contextlib import suppress
from pathlib import Path

RESERVE_BYTES = 4 * 1024 * 1024


class Reserve:
    """The reserve of a data directory, the file `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ensure(self) -> None:
        """Create the file if it does not exist. Raises OSError if there is no space for it."""
        with suppress(FileNotFoundError):
            if self._path.stat().st_size >= RESERVE_BYTES:
                return
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _allocate(descriptor)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def release(self) -> bool:
        """Give the space up; whether there was any."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True


def _allocate(descriptor: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
        return
    for position in range(0, RESERVE_BYTES, 65_536):
        os.pwrite(descriptor, bytes(65_536), position)
