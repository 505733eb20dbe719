"""Moves the files of a watched folder after their import: into `.done`, or into `.failed` with a report.

Names are renamed relative to opened folders: if a file is replaced by a link at the last moment, the link itself moves.
"""

import os
from contextlib import ExitStack, suppress
from pathlib import Path

from afterglow.bulk.contained_paths import device_of, is_file_on, open_folders
from afterglow.bulk.formats.detect import SIDECAR_SUFFIX, matrix_name
from afterglow.bulk.types import ImportReport
from afterglow.bulk.watched_folder import DONE, FAILED, WatchedFile

_MAX_NAME_BYTES = 255


def move_finished(folder: Path, file: WatchedFile, report: ImportReport) -> bool:
    """Move a file after its import, failed or not, with its sidecar and embeddings, and put a failed one's report.

    False: another file, or a link, has replaced it, and nothing is moved. Raises OSError if it cannot be moved, as
    when a folder on the way is a link.
    """
    source, state = file.source, DONE if report.state == "done" else FAILED
    name = source.parts[-1]
    with ExitStack() as stack:
        folder = folder.resolve()
        parent = open_folders(stack, folder, source.parts[:-1])
        if parent is None or not source.is_same(*_identity(name, parent)):
            return False
        into = open_folders(stack, folder, (state, *source.parts[:-1]), create=True)
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
        return is_file_on(os.stat(name, dir_fd=parent, follow_symlinks=False), device_of(os.fstat(parent)))
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
