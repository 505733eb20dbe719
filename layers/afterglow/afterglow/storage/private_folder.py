"""Folders that only their owner may enter, because they hold records and hashes of keys.

1. A missing folder is created with mode 0700.
2. An existing one that everyone may enter gets 0700 if it is ours: it belongs to this user, and holds nothing but the
   names that we give.
3. Any other stays as it is, for example `/tmp`, a home directory, or a mount of another owner; what is created in it
   must be private itself. One that only a group may enter (0750, 0770) stays too: its owner admits that group.

*Crash at any point: the next start repeats the steps.*
"""

import os
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

_OWNER_ONLY = 0o700
_OTHERS = stat.S_IRWXO


def make_private(folder: Path, names: Collection[str] | None = None) -> None:
    """Create the folder, or tighten it if it is ours; `names` are ours, None: whatever it holds. Raises OSError."""
    folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    status = folder.stat()
    if not status.st_mode & _OTHERS or status.st_mode & stat.S_ISVTX or status.st_uid != os.geteuid():
        return
    if names is None or {entry.name for entry in folder.iterdir()} <= set(names):
        _restrict(folder, _OWNER_ONLY)


def make_private_file(path: Path) -> None:
    """Create a file that only its owner may read, or tighten it, if others can reach it. Raises OSError."""
    if not path.parent.stat().st_mode & _OTHERS:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if status.st_mode & _OTHERS and status.st_uid == os.geteuid():
        _restrict(path, 0o600)


def _restrict(path: Path, mode: int) -> None:
    """Change the mode, where the file system has modes."""
    with suppress(OSError):
        path.chmod(mode)
