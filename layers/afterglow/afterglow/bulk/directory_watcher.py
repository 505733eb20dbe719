"""Watches a directory: imports files put into `<data>/imports/<tenant>/<database>/<collection>/`.

A thread of the server polls it every second. A file is imported when it has not changed for two seconds, so files that
are still being written are left alone. A child process does the work (`bulk.import_worker`), because parsing would slow
down concurrent requests; a lock file excludes the other workers of the server, and other servers of the directory.

1. Import the file (protocol: `afterglow.bulk`). *Killed meanwhile: the file is still there, and its import
   continues.*
2. Move it, with its sidecar and its embeddings, to `imports/.done/…` or `imports/.failed/…`, the latter with the
   report. *Killed before: the file and its report are found again, and the file is moved then.*
3. Notify the indexer of the collection. *Killed before: the next write does, or the next start.*
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

from afterglow.bulk.formats.detect import NPY, SIDECAR_SUFFIX, is_auxiliary
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
_POLL_SECONDS = 1.0
_STABLE_SECONDS = 2.0
_RETRY_SECONDS = 15.0


class DirectoryWatcher:
    """Watches the `imports` folder of the data directory `path`; the folder may be created at any time."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self._path = path
        self._folder = path / FOLDER
        self._engine = engine
        self._closed = Event()
        self._child: ChildProcess | None = None
        self._seen: dict[Path, tuple[str, float]] = {}
        self._thread = Thread(target=self._run, name="afterglow-imports", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def close(self) -> None:
        """Stop; an interrupted import continues at the next start."""
        self._closed.set()
        child = self._child
        if child is not None:
            child.terminate()
        self._thread.join(30)

    def _run(self) -> None:
        pause = _POLL_SECONDS
        while not self._closed.wait(pause):
            try:
                pause = _POLL_SECONDS if self._poll() else _RETRY_SECONDS
            except (AfterglowError, OSError) as error:
                _log.warning("the imports of %s could not be checked: %s", self._path, error)
                pause = _RETRY_SECONDS

    def _poll(self) -> bool:
        """Import the files that are ready; returns whether all went well."""
        if not self._folder.is_dir():
            return True
        ready = self._ready()
        if not ready:
            return True
        with file_lock(self._path / _LOCK, wait=False) as is_ours:
            return not is_ours or self._import(ready)

    def _ready(self) -> "list[WatchedFile]":
        """The files that have not changed for a while."""
        now, seen, ready = self._engine.stores.system.now(), {}, []
        for file in list_files(self._folder):
            path, version = file.source.path, file.source.version
            before = self._seen.get(path)
            since = before[1] if before is not None and before[0] == version else now
            seen[path] = (version, since)
            if now - since >= _STABLE_SECONDS:
                ready.append(file)
        self._seen = seen
        return ready

    def _import(self, ready: "list[WatchedFile]") -> bool:
        child = self._child = ChildProcess(_WORKER, str(self._path))
        try:
            child.send([os.fspath(file.source.path) for file in ready])
            for report in child.replies():
                self._log_report(report)
        finally:
            self._child = None
            exit_code = child.close()
        return exit_code == 0 or self._closed.is_set()

    def _log_report(self, report: dict[str, Any]) -> None:
        target = "{tenant}/{database}/{collection}".format(**report)
        if report["state"] == "done":
            counts = (report["rows"], report["rejected"])
            _log.info("imported %s into %s: %d rows, %d rejected", report["file"], target, *counts)
        else:
            _log.error("%s could not be imported into %s: %s", report["file"], target, report["reason"])
        if report["collection_id"] is not None:
            notify_indexer(self._engine.stores, UUID(report["collection_id"]), "imported")


DONE, FAILED = ".done", ".failed"
_DEPTH = 3


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """A file, and the collection that its path names."""

    source: FileSource
    target: Target


def list_files(folder: Path) -> list[WatchedFile]:
    """The files of a watched directory, without auxiliary ones."""
    files = []
    for path in sorted(folder.glob("*/*/*/**/*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") for part in parts) or is_auxiliary(path.name) or not path.is_file():
            continue
        source = file_source(path, "/".join(parts[_DEPTH:]))
        if source is not None:
            files.append(WatchedFile(source, Target(*parts[:_DEPTH])))
    return files


def move_finished(folder: Path, file: WatchedFile, report: ImportReport) -> None:
    """Move a file after its import, failed or not, with its sidecar and embeddings."""
    path = file.source.path
    into = folder / (DONE if report.state == "done" else FAILED) / path.relative_to(folder).parent
    into.mkdir(parents=True, exist_ok=True)
    stem = path.name.partition(".")[0]
    for source_path in (path, path.with_name(path.name + SIDECAR_SUFFIX), path.with_name(stem + NPY)):
        target = into / source_path.name
        if target.exists():
            target = into / f"{report.id[:8]}-{source_path.name}"
        if source_path.exists():
            source_path.replace(target)
    if report.state != "done":
        (into / f"{path.name}.report.json").write_bytes(report.encode())
