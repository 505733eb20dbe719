"""Watches a directory: imports files put into `<data>/imports/<tenant>/<database>/<collection>/`.

A thread of the server polls it every second. A file is imported when it has not changed for two seconds, so files that
are still being written are left alone. A child process does the work (`bulk.import_worker`), because parsing would slow
down concurrent requests; a lock file excludes the other workers of the server, and other servers of the directory.
`bulk.watched_folder` defines which entries are files; the others, like links, are named once in the log.

1. Import the file (protocol: `afterglow.bulk`). *Killed meanwhile: the file is still there, and its import
   continues.*
2. Move it, with its sidecar and its embeddings, to `imports/.done/…` or `imports/.failed/…`, the latter with the
   report. *Killed before: the file and its report are found again, and the file is moved then.*
3. Notify the indexer of the collection. *Killed before: the next write does, or the next start.*

A file that cannot be read or moved, and one that kills the child, is set aside: the next attempt comes after 15
seconds, then after twice as long each time, up to an hour; sooner if the file changes. Its error is logged once.
No exception ends the thread.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

from afterglow.bulk.report_text import column_lines
from afterglow.bulk.types import ImportReport
from afterglow.bulk.watched_folder import FOLDER, WatchedFile, list_files, printable
from afterglow.collection import Engine
from afterglow.collection.write.notification import notify_indexer
from afterglow.deployment.child_process import ChildProcess
from afterglow.deployment.file_lock import file_lock

_log = logging.getLogger(__name__)

_LOCK = "imports.lock"
_WORKER = "afterglow.bulk.import_worker"
_POLL_SECONDS = 1.0
_STABLE_SECONDS = 2.0
_RETRY_SECONDS = 15.0
_MAX_RETRY_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class _Failure:
    """A file that is set aside until `retry_at` (monotonic seconds) unless its `version` changes."""

    version: str
    error: str
    count: int
    retry_at: float


class DirectoryWatcher:
    """Watches the `imports` folder of the data directory `path`; the folder may be created at any time."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self._path = path
        self._folder = path / FOLDER
        self._engine = engine
        self._closed = Event()
        self._child: ChildProcess | None = None
        self._seen: dict[str, tuple[str, float]] = {}
        self._skipped: dict[str, str] = {}
        self._failures: dict[str, _Failure] = {}
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
        pause, previous_error = _POLL_SECONDS, ""
        while not self._closed.wait(pause):
            try:
                self._poll()
            except Exception as error:  # noqa: BLE001  the thread outlives every error
                pause = _RETRY_SECONDS
                if repr(error) != previous_error:
                    _log.warning("the imports of %s could not be checked: %s", self._path, error, exc_info=True)
                previous_error = repr(error)
            else:
                pause, previous_error = _POLL_SECONDS, ""

    def _poll(self) -> None:
        """Import the files that are ready."""
        if not self._folder.is_dir():
            return
        ready = self._ready()
        if ready:
            with file_lock(self._path / _LOCK, wait=False) as is_ours:
                if is_ours:
                    self._import(ready)

    def _ready(self) -> list[WatchedFile]:
        """The files that have not changed for a while and are not set aside."""
        now, seen, ready = self._engine.stores.system.monotonic(), {}, []
        skipped: dict[str, str] = {}
        for file in list_files(self._folder, skipped.__setitem__):
            path, version = file.relative_path, file.source.version
            before = self._seen.get(path)
            since = before[1] if before is not None and before[0] == version else now
            seen[path] = (version, since)
            failure = self._failures.get(path)
            if failure is not None and failure.version == version and now < failure.retry_at:
                continue
            if now - since >= _STABLE_SECONDS:
                ready.append(file)
        for path, reason in skipped.items():
            if self._skipped.get(path) != reason:
                _log.warning("%s of %s is skipped: %s", path, self._folder, reason)
        self._seen, self._skipped = seen, skipped
        self._failures = {path: failure for path, failure in self._failures.items() if path in seen}
        return ready

    def _import(self, ready: list[WatchedFile]) -> None:
        pending = {file.relative_path: file for file in ready}
        child = self._child = ChildProcess(_WORKER, str(self._path))
        try:
            child.send(list(pending))
            for reply in child.replies():
                file = pending.pop(reply["path"])
                is_retry = file.relative_path in self._failures and reply["error"] is not None
                if reply["error"] is not None:
                    self._set_aside(file, reply["error"])
                else:
                    self._failures.pop(file.relative_path, None)
                if reply["report"] is not None and not is_retry:
                    self._log_report(reply["report"])
        finally:
            self._child = None
            exit_code = child.close()
        if pending and not self._closed.is_set():
            self._set_aside(next(iter(pending.values())), f"the importing process ended with code {exit_code}")

    def _set_aside(self, file: WatchedFile, error: str) -> None:
        before = self._failures.get(file.relative_path)
        count = 1 if before is None else before.count + 1
        if before is None or before.error != error:
            _log.warning("import of %s is tried again later: %s", printable(file.relative_path), error)
        pause = min(_RETRY_SECONDS * 2 ** min(count - 1, 20), _MAX_RETRY_SECONDS)
        retry_at = self._engine.stores.system.monotonic() + pause
        self._failures[file.relative_path] = _Failure(file.source.version, error, count, retry_at)

    def _log_report(self, report: dict[str, Any]) -> None:
        target = "{tenant}/{database}/{collection}".format(**report)
        if report["state"] == "done":
            counts = (report["rows"], report["rejected"])
            _log.info("imported %s into %s: %d rows, %d rejected", report["file"], target, *counts)
            for line in column_lines(ImportReport(**report)):
                _log.info("%s: %s", report["file"], line)
        else:
            _log.error("%s could not be imported into %s: %s", report["file"], target, report["reason"])
        if report["collection_id"] is not None:
            notify_indexer(self._engine.stores, UUID(report["collection_id"]), "imported")
