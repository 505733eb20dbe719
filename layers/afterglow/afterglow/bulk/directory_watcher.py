"""The watched directory: what is put into `<data>/imports/<tenant>/<database>/<collection>/` is imported.

A thread of the server looks at it every second. A file is taken when it has not changed for two seconds, so that what
is still being written is left alone. The work itself is done by a process of its own (`bulk.import_worker`), as parsing
would slow the requests beside it; one lock file keeps the workers of a server, and other servers of the same directory,
apart.

1. Import the file (protocol: `afterglow.bulk`). *Killed meanwhile: it is still there, and its import goes on.*
2. Move it, with its sidecar and its embeddings, to `imports/.done/…` or `imports/.failed/…`, there with the receipt
   beside it. *Killed before: it is found again, its receipt too, and it is moved then.*
3. Tell the indexer of the collection. *Killed before: the next write does, or the next start.*
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

from afterglow.bulk.formats.detect import NPY, SUFFIX, is_auxiliary
from afterglow.bulk.sources import FileSource, file_source
from afterglow.bulk.types import ImportReport, Target
from afterglow.collection import Engine
from afterglow.collection.write.write_path import notify_indexer
from afterglow.deployment.child_process import ChildProcess
from afterglow.deployment.local import file_lock
from afterglow.errors import AfterglowError

_log = logging.getLogger(__name__)

FOLDER = "imports"
_LOCK = "imports.lock"
_WORKER = "afterglow.bulk.import_worker"
_LOOK_SECONDS = 1.0
_QUIET_SECONDS = 2.0
_RETRY_SECONDS = 15.0


class DirectoryWatcher:
    """Looks at the `imports` folder of the data directory `path`, which may be made at any time."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self._path = path
        self._folder = path / FOLDER
        self._engine = engine
        self._closed = Event()
        self._child: ChildProcess | None = None
        self._seen: dict[Path, tuple[str, float]] = {}
        self._thread = Thread(target=self._run, name="afterglow-imports", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Stop: an import that is cut off goes on at the next start."""
        self._closed.set()
        child = self._child
        if child is not None:
            child.terminate()
        self._thread.join(30)

    def _run(self) -> None:
        pause = _LOOK_SECONDS
        while not self._closed.wait(pause):
            try:
                pause = _LOOK_SECONDS if self._look() else _RETRY_SECONDS
            except (AfterglowError, OSError) as error:
                _log.warning("the imports of %s could not be looked at: %s", self._path, error)
                pause = _RETRY_SECONDS

    def _look(self) -> bool:
        """Import what is ready; whether that went as it should."""
        if not self._folder.is_dir():
            return True
        ready = self._ready()
        if not ready:
            return True
        with file_lock(self._path / _LOCK, wait=False) as is_ours:
            return not is_ours or self._import(ready)

    def _ready(self) -> "list[WatchedFile]":
        """Files that were the same for a while."""
        now, seen, ready = self._engine.stores.system.now(), {}, []
        for each in list_files(self._folder):
            path, version = each.source.path, each.source.version
            before = self._seen.get(path)
            since = before[1] if before is not None and before[0] == version else now
            seen[path] = (version, since)
            if now - since >= _QUIET_SECONDS:
                ready.append(each)
        self._seen = seen
        return ready

    def _import(self, ready: "list[WatchedFile]") -> bool:
        child = self._child = ChildProcess(_WORKER, str(self._path))
        try:
            child.send([os.fspath(file.source.path) for file in ready])
            for report in child.replies():
                self._note(report)
        finally:
            self._child = None
            exit_code = child.close()
        return exit_code == 0 or self._closed.is_set()

    def _note(self, receipt: dict[str, Any]) -> None:
        place = "{tenant}/{database}/{collection}".format(**receipt)
        if receipt["state"] == "done":
            counts = (receipt["rows"], receipt["rejected"])
            _log.info("imported %s into %s: %d rows, %d rejected", receipt["file"], place, *counts)
        else:
            _log.error("%s could not be imported into %s: %s", receipt["file"], place, receipt["reason"])
        if receipt["collection_id"] is not None:
            notify_indexer(self._engine.stores, UUID(receipt["collection_id"]), "imported")


DONE, FAILED = ".done", ".failed"
_DEPTH = 3


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """A file, and the collection that its place says."""

    source: FileSource
    target: Target


def list_files(folder: Path) -> list[WatchedFile]:
    """The files of a watched directory, those that only say something of another left out."""
    found = []
    for path in sorted(folder.glob("*/*/*/**/*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") for part in parts) or is_auxiliary(path.name) or not path.is_file():
            continue
        source = file_source(path, "/".join(parts[_DEPTH:]))
        if source is not None:
            found.append(WatchedFile(source, Target(*parts[:_DEPTH])))
    return found


def move_finished(folder: Path, found: WatchedFile, receipt: ImportReport) -> None:
    """Move a file that was imported, or could not be, and what lies beside it for it."""
    path = found.source.path
    into = folder / (DONE if receipt.state == "done" else FAILED) / path.relative_to(folder).parent
    into.mkdir(parents=True, exist_ok=True)
    stem = path.name.partition(".")[0]
    for each in (path, path.with_name(path.name + SUFFIX), path.with_name(stem + NPY)):
        target = into / each.name
        if target.exists():
            target = into / f"{receipt.id[:8]}-{each.name}"
        if each.exists():
            each.replace(target)
    if receipt.state != "done":
        (into / f"{path.name}.report.json").write_bytes(receipt.encode())
