"""Locks on files, among the processes of one machine.

A flush takes the lock of the indexer, a compaction that of the compactor: so a flush never waits for a compaction,
which may take minutes. Whoever must be alone takes both, the compactor's first (`both_locks`): a flush never waits for
the compactor while it holds its own lock, so nobody waits in a circle.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INDEXER_LOCK = "indexer.lock"
"""The name of the file that a flush locks."""
COMPACTOR_LOCK = "compactor.lock"
"""The name of the file that a compaction locks."""


@contextmanager
def file_lock(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock on a file, which is released when its holder dies; whether it is held.

    What an earlier holder left in the file is removed.
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            if os.fstat(file.fileno()).st_size:
                os.ftruncate(file.fileno(), 0)
            yield True


@contextmanager
def both_locks(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Hold both locks in a folder; whether they are held."""
    with (
        file_lock(folder / COMPACTOR_LOCK, wait=wait) as is_alone,
        file_lock(folder / INDEXER_LOCK, wait=wait) as is_held,
    ):
        yield is_alone and is_held
