"""The memory that glibc's allocator holds free: enough for a search or a step of a build, and not what bursts left.

1. At the start of a process the limits of `settings.process` are set: smaller arrays reuse memory, larger ones are
   returned. A server sets them itself, a child process has them from its environment.
2. Arrays, responses and bodies of some megabytes are below these limits. When they are freed, other blocks may lie
   above them, and then the allocator retains their pages. So a server compares its memory every few seconds, and an
   indexer after each request, with the least that it had. If that is less by more than `RETAINED_BYTES`, all free pages
   are returned (`malloc_trim`). What is in use looks the same, so while little comes back, fewer checks return memory.

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
_WORTHWHILE_BYTES = RETAINED_BYTES // 4
_MAX_PAUSE = 31
"""Checks; a minute and a half for a server that uses much memory."""


def set_limits() -> None:
    """Fix the limits of the allocator."""
    _call("mallopt", _M_MMAP_THRESHOLD, MMAP_BYTES)
    _call("mallopt", _M_TRIM_THRESHOLD, RETAINED_BYTES)
    _call("mallopt", _M_ARENA_MAX, ARENAS)


class FreeMemory:
    """The least memory that this process had, and how many of the next checks return none. For one thread."""

    def __init__(self) -> None:
        self._least = _own_bytes()
        self._pause = self._skipped = 0

    def return_if_grown(self) -> int:
        """Return the free pages if this process has grown; the bytes returned. Blocks for some milliseconds."""
        size = _own_bytes()
        if size <= self._least + RETAINED_BYTES:
            self._least, self._pause, self._skipped = min(self._least, size), 0, 0
            return 0
        if self._skipped < self._pause:
            self._skipped += 1
            return 0
        _call("malloc_trim", 0)
        returned = max(size - _own_bytes(), 0)
        self._pause = 0 if returned > _WORTHWHILE_BYTES else min(2 * self._pause + 1, _MAX_PAUSE)
        self._skipped = 0
        return returned


def _call(function: str, *numbers: int) -> None:
    """Call a function of the C library, if it has it."""
    with suppress(AttributeError, OSError, TypeError):
        getattr(ctypes.CDLL(None), function)(*numbers)


def _own_bytes() -> int:
    """The resident memory that is not mapped from files; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        resident, shared = _PAGES.read_text().split()[1:3]
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    return 0
