"""The files of a watched folder: listing, reading and moving them without following anything out of the folder.

Rule: below the folder, symbolic links to files or folders, other mounts, named pipes, sockets, devices and names that
are not UTF-8 are skipped. The folder itself may be a link or a mount. Hard links are ordinary files.

A checked file may be replaced before it is used. So every access opens the path component by component, without
following links, and compares device and inode of the opened descriptor with those of the listed file. Moving renames
names relative to opened folders: if the file is replaced by a link at the last moment, the link itself moves.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from afterglow.bulk.formats.detect import SIDECAR_SUFFIX, is_auxiliary, matrix_name
from afterglow.bulk.mounts import mount_of, mount_points
from afterglow.bulk.sources import Source, Span
from afterglow.bulk.types import ImportRejected, ImportReport, Target

DONE, FAILED = ".done", ".failed"
_DEPTH = 3
_MAX_NAME_BYTES = 255
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Without O_NONBLOCK, opening a named pipe would wait for its writer."""
_DESCRIPTORS = ("/proc/self/fd", "/dev/fd")

OnSkipped = Callable[[str, str], None]
"""Callback with the printable relative path of a skipped entry, and the reason."""


def ignore_skipped(path: str, reason: str) -> None:
    """The callback without an effect."""
    del path, reason


def device_of(status: os.stat_result) -> int:
    """The device of a file, which differs on other mounts."""
    return status.st_dev


@dataclass(frozen=True, slots=True)
class WatchedSource:
    """A regular file below `folder`, at the relative path `parts`; `name` is relative to its collection's folder."""

    folder: Path
    parts: tuple[str, ...]
    size: int
    modified: int
    """Nanoseconds."""
    device: int
    inode: int

    @property
    def path(self) -> Path:
        """The absolute path."""
        return self.folder.joinpath(*self.parts)

    @property
    def key(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def name(self) -> str:
        """The path without tenant, database and collection."""
        return "/".join(self.parts[_DEPTH:])

    @property
    def version(self) -> str:
        """Size and time of the last change."""
        return f"{self.size}-{self.modified}"

    def read(self, start: int, length: int) -> bytes:
        """Some bytes."""
        with self._open() as descriptor, open(descriptor, "rb", closefd=False) as file:
            file.seek(start)
            return file.read(length)

    def sibling(self, name: str) -> Source | None:
        """The file with this name in the same folder, None also if it is a link or no regular file."""
        return _source(self.folder, (*self.parts[:-1], name))

    def reload(self) -> Source | None:
        """The file as it is now, None also if another file has replaced it."""
        source = _source(self.folder, self.parts)
        return source if source is not None and self.is_same(source.device, source.inode) else None

    @contextmanager
    def local_copy(self, spans: Sequence[Span]) -> Iterator[Path]:
        """The file itself, by its open descriptor: the path stays that of this file when the name is replaced."""
        del spans
        with self._open() as descriptor:
            yield next(Path(root, str(descriptor)) for root in _DESCRIPTORS if Path(root).is_dir())

    def is_same(self, device: int, inode: int) -> bool:
        """Whether this is the file with that device and inode."""
        return (self.device, self.inode) == (device, inode)

    @contextmanager
    def _open(self) -> Iterator[int]:
        with ExitStack() as stack:
            descriptor = _open_file(stack, self.folder, self.parts)
            status = None if descriptor is None else os.fstat(descriptor)
            if descriptor is None or status is None or not self.is_same(device_of(status), status.st_ino):
                raise ImportRejected(f"{self.name} is gone")
            yield descriptor


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """A file, and the collection that its path names."""

    source: WatchedSource
    target: Target

    @property
    def relative_path(self) -> str:
        """The path below the watched folder."""
        return "/".join(self.source.parts)


def list_files(folder: Path, on_skipped: OnSkipped = ignore_skipped) -> list[WatchedFile]:
    """The files of a watched folder, without auxiliary ones, by path; `on_skipped` gets the entries not followed."""
    files: list[WatchedFile] = []
    folder, mounted = folder.resolve(), mount_points()
    pending: list[tuple[str, ...]] = [()]
    while pending:
        parts = pending.pop()
        try:
            for name, status, reason in _entries(folder, parts, mounted):
                path = (*parts, name)
                if reason is not None:
                    on_skipped(printable("/".join(path)), reason)
                elif name.startswith("."):
                    continue
                elif stat.S_ISDIR(status.st_mode):
                    pending.append(path)
                elif len(parts) >= _DEPTH and not is_auxiliary(name):
                    files.append(_watched_file(_from_status(folder, path, status)))
        except OSError as error:
            if not parts:
                raise
            on_skipped(printable("/".join(parts)), error.strerror or str(error))
    return sorted(files, key=lambda file: file.source.parts)


def _entries(
    folder: Path, parts: tuple[str, ...], mounted: frozenset[str]
) -> Iterator[tuple[str, os.stat_result, str | None]]:
    """The entries of a folder, by name, with the reason to skip them; of hidden ones only `.done` and `.failed`."""
    with ExitStack() as stack:
        descriptor = _open_folders(stack, folder, parts)
        if descriptor is None:
            return
        device = device_of(os.fstat(descriptor))
        for name in sorted(os.listdir(descriptor)):  # noqa: PTH208  by descriptor
            if name.startswith(".") and (parts or name not in (DONE, FAILED)):
                continue
            try:
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue
            is_mount = device_of(status) != device or str(folder.joinpath(*parts, name)) in mounted
            yield name, status, _reason_to_skip(name, status, is_mount=is_mount)


def _reason_to_skip(name: str, status: os.stat_result, *, is_mount: bool) -> str | None:
    """The reason for which an entry is not followed, None for regular files and folders of this mount."""
    if not _is_utf8(name):
        return "its name is not UTF-8"
    if stat.S_ISLNK(status.st_mode):
        return "it is a symbolic link"
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return "it is not a regular file"
    return "it is another mount" if is_mount else None


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(path: str) -> str:
    """A path for the log: bytes that are not UTF-8 and control characters are escaped."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def open_watched_file(folder: Path, relative_path: str) -> WatchedFile | None:
    """The regular file at a path below the folder, None if it is gone, a link, or anything else that is skipped."""
    parts = tuple(relative_path.split("/"))
    if len(parts) <= _DEPTH or any(part in ("", ".", "..") or not _is_utf8(part) for part in parts):
        return None
    source = _source(folder.resolve(), parts)
    return None if source is None else _watched_file(source)


def _watched_file(source: WatchedSource) -> WatchedFile:
    return WatchedFile(source, Target(*source.parts[:_DEPTH]))


def _from_status(folder: Path, parts: tuple[str, ...], status: os.stat_result) -> WatchedSource:
    return WatchedSource(folder, parts, status.st_size, status.st_mtime_ns, device_of(status), status.st_ino)


def _source(folder: Path, parts: tuple[str, ...]) -> WatchedSource | None:
    with ExitStack() as stack:
        parent = _open_folders(stack, folder, parts[:-1])
        if parent is None:
            return None
        try:
            status = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
                return None
            raise
        if not _is_file_on(status, device_of(os.fstat(parent))):
            return None
        descriptor = _open_file(stack, folder, parts)
        return None if descriptor is None else _from_status(folder, parts, os.fstat(descriptor))


def _open_file(stack: ExitStack, folder: Path, parts: tuple[str, ...]) -> int | None:
    """A descriptor of the regular file, None if it is gone or anything else. Raises other OSErrors."""
    parent = _open_folders(stack, folder, parts[:-1])
    if parent is None:
        return None
    try:
        descriptor = os.open(parts[-1], _FILE_FLAGS, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):  # gone, a link, or a socket
            return None
        raise
    stack.callback(os.close, descriptor)
    is_here = _is_file_on(os.fstat(descriptor), device_of(os.fstat(parent))) and mount_of(descriptor) == mount_of(
        parent
    )
    return descriptor if is_here else None


def _is_file_on(status: os.stat_result, device: int) -> bool:
    return stat.S_ISREG(status.st_mode) and device_of(status) == device


def _open_folders(stack: ExitStack, folder: Path, names: Sequence[str], *, create: bool = False) -> int | None:
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


def move_finished(folder: Path, file: WatchedFile, report: ImportReport) -> bool:
    """Move a file after its import, failed or not, with its sidecar and embeddings, and put a failed one's report.

    False: another file, or a link, has replaced it, and nothing is moved. Raises OSError if it cannot be moved, as
    when a folder on the way is a link.
    """
    source, state = file.source, DONE if report.state == "done" else FAILED
    name = source.parts[-1]
    with ExitStack() as stack:
        folder = folder.resolve()
        parent = _open_folders(stack, folder, source.parts[:-1])
        if parent is None or not source.is_same(*_identity(name, parent)):
            return False
        into = _open_folders(stack, folder, (state, *source.parts[:-1]), create=True)
        assert into is not None
        for moved in (name, name + SIDECAR_SUFFIX, matrix_name(name)):
            if moved is not None and _is_regular(moved, parent):
                os.rename(moved, _free_name(moved, report.id, into), src_dir_fd=parent, dst_dir_fd=into)
        if report.state != "done":
            _write(_report_name(name, report.id), report.encode(), into)
    return True


def _identity(name: str, parent: int) -> tuple[int, int]:
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return -1, -1
    return device_of(status), status.st_ino


def _is_regular(name: str, parent: int) -> bool:
    with suppress(OSError):  # missing, or its name is too long to exist
        return _is_file_on(os.stat(name, dir_fd=parent, follow_symlinks=False), device_of(os.fstat(parent)))
    return False


def _free_name(name: str, import_id: str, folder: int) -> str:
    """The name, with the import's id before it if an earlier file has it."""
    if _identity(name, folder) == (-1, -1):
        return name
    prefixed = f"{import_id[:8]}-{name}"
    excess = len(prefixed.encode()) - _MAX_NAME_BYTES
    return prefixed if excess <= 0 else f"{import_id[:8]}-{name.encode()[excess:].decode(errors='ignore')}"


def _report_name(name: str, import_id: str) -> str:
    suffix = ".report.json"
    return f"{name if len((name + suffix).encode()) <= _MAX_NAME_BYTES else import_id}{suffix}"


def _write(name: str, content: bytes, folder: int) -> None:
    """Write a file, replacing one of this name; a link is replaced, not followed."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
    with open(descriptor, "wb") as file:
        file.write(content)
