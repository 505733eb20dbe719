"""The memory that glibc's allocator holds free: enough for a search or a step of a build, and not what bursts left.

1. At the start of a process the limits of `settings.process` are set: smaller arrays reuse memory, larger ones are
   returned. A server sets them itself, a child process has them from its environment.
2. Arrays, responses and bodies of some megabytes are below these limits. When they are freed, other blocks may lie
   above them, and then the allocator retains their pages. So a server compares its memory every few seconds, and an
   indexer after each request, with what it had at the last return. If it has grown by more than `RETAINED_BYTES`, all
   free pages are returned (`malloc_trim`).

Other C libraries have neither function and are left alone.
"""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

from afterglow.settings import ARENAS, MMAP_BYTES, RETAINED_BYTES

# Parameters of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_PAGES = Path("/proc/self/statm")


def set_limits() -> None:
    """Fix the limits of the allocator."""
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, MMAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, RETAINED_BYTES)
        mallopt(_M_ARENA_MAX, ARENAS)


class FreeMemory:
    """The memory of this process when its free pages were last returned. For one thread."""

    def __init__(self) -> None:
        self._floor = _own_bytes()

    def return_if_grown(self) -> bool:
        """Return the free pages if this process has grown; whether it had. Blocks for some milliseconds."""
        size = _own_bytes()
        if size <= self._floor + RETAINED_BYTES:
            self._floor = min(self._floor, size)
            return False
        with suppress(AttributeError, OSError, TypeError):
            ctypes.CDLL(None).malloc_trim(0)
        self._floor = _own_bytes()
        return True


def _own_bytes() -> int:
    """The resident memory that is not mapped from files; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        resident, shared = _PAGES.read_text().split()[1:3]
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    return 0
