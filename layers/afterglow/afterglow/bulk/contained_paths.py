"""Opens files and folders below a folder without following anything out of it: links, other mounts, pipes, devices.

A path is opened component by component, relative to the descriptor of the folder before. What was checked may be
replaced at any time, so everything is checked again on the opened descriptor.
"""

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from afterglow.bulk.mounts import mount_of

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Without O_NONBLOCK, opening a named pipe would wait for its writer."""


def device_of(status: os.stat_result) -> int:
    """The device of a file, which differs on other mounts."""
    return status.st_dev


def is_file_on(status: os.stat_result, device: int) -> bool:
    """Whether it is a regular file on that device."""
    return stat.S_ISREG(status.st_mode) and device_of(status) == device


def open_file(stack: ExitStack, folder: Path, parts: tuple[str, ...]) -> int | None:
    """A descriptor of the regular file, None if it is gone or anything else. Raises other OSErrors."""
    parent = open_folders(stack, folder, parts[:-1])
    if parent is None:
        return None
    try:
        descriptor = os.open(parts[-1], _FILE_FLAGS, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):  # gone, a link, or a socket
            return None
        raise
    stack.callback(os.close, descriptor)
    is_here = is_file_on(os.fstat(descriptor), device_of(os.fstat(parent))) and mount_of(descriptor) == mount_of(parent)
    return descriptor if is_here else None


def open_folders(stack: ExitStack, folder: Path, names: Sequence[str], *, create: bool = False) -> int | None:
    """A descriptor of the folder `names` below `folder`, None if it is gone, a link or another mount.

    With `create` a missing folder is made, and a link or another mount on the way is an OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    mount = _device_and_mount(descriptor)
    try:
        for name in names:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=descriptor)
            parent, descriptor = descriptor, _open_folder(name, descriptor, mount)
            os.close(parent)
    except (FileNotFoundError, NotADirectoryError):
        os.close(descriptor)
        if create:
            raise
        return None
    except BaseException:
        os.close(descriptor)
        raise
    stack.callback(os.close, descriptor)
    return descriptor


def _open_folder(name: str, parent: int, mount: tuple[int, int]) -> int:
    """A descriptor of one folder. Raises NotADirectoryError for a link and for another mount."""
    try:
        descriptor = os.open(name, _FOLDER_FLAGS, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise NotADirectoryError(errno.ENOTDIR, "it is a symbolic link or a file", name) from None
    if _device_and_mount(descriptor) != mount:
        os.close(descriptor)
        raise NotADirectoryError(errno.ENOTDIR, "it is another mount", name)
    return descriptor


def _device_and_mount(descriptor: int) -> tuple[int, int]:
    return device_of(os.fstat(descriptor)), mount_of(descriptor)
