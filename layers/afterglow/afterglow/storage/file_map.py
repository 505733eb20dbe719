"""Read-only memory maps of files, without an open descriptor.

Python's `mmap` keeps a duplicate of the file's descriptor as long as the map lives (before 3.13 always), so a process
with many open segments would reach its limit of open files. A map itself needs none: it stays valid when the file is
closed, replaced or removed. So this module calls `mmap` of the C library.

The map ends when the last array over it is gone; at the end of the process the system removes it.
"""

import ctypes
import mmap
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_longlong,
)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_FAILED = ctypes.c_void_p(-1).value
_mapped: dict[int, int] = {}
"""The sizes of the maps by their addresses."""


def map_file(descriptor: int, size: int) -> NDArray[np.uint8]:
    """The first `size` bytes of an open file, uint8, shape (size,), read-only; the descriptor may be closed.

    Raises OSError.
    """
    if not size:
        return np.empty(0, dtype=np.uint8)
    address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    if address is None or address == _FAILED:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot map a file of {size} bytes: {os.strerror(code)}")
    owner = (ctypes.c_ubyte * size).from_address(address)
    _mapped[address] = size
    # Not at the end of the process: other threads may still read.
    weakref.finalize(owner, _unmap, address, size).atexit = False
    data: NDArray[np.uint8] = np.frombuffer(memoryview(owner), dtype=np.uint8)
    data.flags.writeable = False
    return data


def call_at_end(data: NDArray[np.uint8], callback: Callable[..., object], *arguments: object) -> None:
    """Call `callback` when the last array over the map of `data` is gone."""
    owner = _owner(data)
    weakref.finalize(data if owner is None else owner, callback, *arguments)


def release_pages(array: NDArray[Any]) -> None:
    """Release the pages of a mapped array from this process's memory; a later access reads them again.

    For a writer that has copied from a map and then needs the memory. No effect on an array that is not mapped.
    """
    owner = _owner(array)
    if owner is not None and hasattr(mmap, "MADV_DONTNEED"):
        address = ctypes.addressof(owner)
        _libc.madvise(address, _mapped[address], mmap.MADV_DONTNEED)


def resident_file_bytes() -> int:
    """The bytes of mapped files in this process's memory now; 0 where the system does not tell (it is not Linux)."""
    try:
        pages = Path("/proc/self/statm").read_bytes().split()[2]
    except OSError:
        return 0
    return int(pages) * mmap.PAGESIZE


def _owner(array: NDArray[Any]) -> ctypes.Array[ctypes.c_ubyte] | None:
    """The object whose end is that of the map; None for an array that is not mapped."""
    base: object = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base if isinstance(base, ctypes.Array) and ctypes.addressof(base) in _mapped else None


def _unmap(address: int, size: int) -> None:
    del _mapped[address]
    _libc.munmap(address, size)
