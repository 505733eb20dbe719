"""The files of a watched folder: listing and reading them without following anything out of the folder.

Rule: below the folder, symbolic links to files or folders, other mounts, named pipes, sockets, devices and names that
are not UTF-8 are skipped. The folder itself may be a link or a mount. Hard links are ordinary files.

A checked file may be replaced before it is used. So every access opens the path anew (`bulk.contained_paths`) and
compares device and inode of the opened descriptor with those of the listed file.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from afterglow.bulk.contained_paths import device_of, is_file_on, open_file, open_folders
from afterglow.bulk.formats.detect import is_auxiliary
from afterglow.bulk.mounts import mount_points
from afterglow.bulk.sources import Source, Span
from afterglow.bulk.types import ImportRejected, Target

FOLDER = "imports"
"""The watched folder of a data directory."""
DONE, FAILED = ".done", ".failed"
_DEPTH = 3
_DESCRIPTORS = ("/proc/self/fd", "/dev/fd")

OnSkipped = Callable[[str, str], None]
"""Callback with the printable relative path of a skipped entry, and the reason."""


def ignore_skipped(path: str, reason: str) -> None:
    """The callback without an effect."""
    del path, reason


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
            descriptor = open_file(stack, self.folder, self.parts)
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
        descriptor = open_folders(stack, folder, parts)
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
        parent = open_folders(stack, folder, parts[:-1])
        if parent is None:
            return None
        try:
            status = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
                return None
            raise
        if not is_file_on(status, device_of(os.fstat(parent))):
            return None
        descriptor = open_file(stack, folder, parts)
        return None if descriptor is None else _from_status(folder, parts, os.fstat(descriptor))
