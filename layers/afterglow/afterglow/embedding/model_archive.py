"""The files of the default model: where they are, and how they get there.

They are in the folder, and come from the archive, that Chroma's clients use, so a machine that has one of them has
both. Layout: `FOLDER/onnx.tar.gz`, the archive, and `FOLDER/onnx/`, its files. A folder with the files themselves is
valid, too, for models of one's own.

1. Take the lock file, so that one process fetches and the others wait for it. If the files are there now, stop.
2. Stream the archive into a temporary file next to it; compare its SHA-256; rename it.
3. Unpack it into a temporary folder; rename that to `onnx`.

*Killed at any step: a temporary file or folder is left, which the next fetch removes; `onnx` is complete or absent.*
"""

import fcntl
import hashlib
import http.client
import os
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from afterglow.errors import StorageFull, Unavailable

NAME = "all-MiniLM-L6-v2"
_ARCHIVE, _FILES = "onnx.tar.gz", "onnx"
_REQUIRED = ("model.onnx", "tokenizer.json")
_LOCK, _PART, _UNPACKED = ".afterglow.lock", ".afterglow.part", ".afterglow.unpacked"
_CHUNK = 1 << 18
_READ_SECONDS = 30.0

Progress = Callable[[int, int], None]
"""Called with the bytes received so far, and with all of them, 0 if unknown."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive of a model, and its SHA-256 in hex."""

    url: str
    sha256: str


MINI_LM = Archive(
    "https://chroma-onnx-models.s3.amazonaws.com/all-MiniLM-L6-v2/onnx.tar.gz",
    "913d7300ceae3b2dbc2c50d1de4baacab4be7b9380491c27fab7418616a16ec3",
)


def find(folder: Path) -> Path | None:
    """The folder with the model's files, which is this one or `onnx` in it; None if a file is missing."""
    for candidate in (folder / _FILES, folder):
        if all((candidate / name).is_file() for name in _REQUIRED):
            return candidate
    return None


def fetch(folder: Path, archive: Archive, progress: Progress) -> Path:
    """The folder with the model's files, fetched if it is not there. Raises Unavailable, StorageFull."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / _LOCK):
            found = find(folder)
            return _fetch(folder, archive, progress) if found is None else found
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise Unavailable(
            f"the model {NAME} cannot be fetched from {archive.url}: {error}; "
            "AFTERGLOW_EMBEDDING_MODEL_DIR may name a folder that has it",
            60,
        ) from error
    except tarfile.TarError as error:
        raise Unavailable(f"the archive of {NAME} cannot be read: {error}", 60) from error
    except OSError as error:
        raise StorageFull(f"the model {NAME} cannot be stored in {folder}: {error}") from error


def _fetch(folder: Path, archive: Archive, progress: Progress) -> Path:
    packed, part = folder / _ARCHIVE, folder / _PART
    if not packed.is_file() or sha256(packed) != archive.sha256:
        _download(archive, part, progress)
        part.replace(packed)
    return unpack(packed, folder)


def unpack(packed: Path, folder: Path) -> Path:
    """Unpack an archive into the folder; the folder with the model's files.

    Raises Unavailable for an archive without them, tarfile.TarError, OSError.
    """
    unpacked = folder / _UNPACKED
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir(parents=True)
    with tarfile.open(packed, "r:gz") as tar:
        tar.extractall(unpacked, filter="data")
    shutil.rmtree(folder / _FILES, ignore_errors=True)  # without one of its files: an interrupted client's
    (unpacked / _FILES).rename(folder / _FILES)
    shutil.rmtree(unpacked)
    found = find(folder)
    if found is None:
        raise Unavailable(f"the archive {packed.name} has no {' and '.join(_REQUIRED)}", 3600)
    return found


def _download(archive: Archive, part: Path, progress: Progress) -> None:
    digest = hashlib.sha256()
    with urllib.request.urlopen(archive.url, timeout=_READ_SECONDS) as response, part.open("wb") as file:  # noqa: S310  our own URL
        total, received = int(response.headers.get("content-length") or 0), 0
        while chunk := response.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
            received += len(chunk)
            progress(received, total)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != archive.sha256:
        part.unlink()
        raise Unavailable(f"{archive.url} does not have the expected SHA-256: damaged, or not the model {NAME}", 60)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
