"""Indexing beside the requests: decides on a thread what is worth doing and when, and has a child process do it.

A collection is indexed at once when its unindexed tail has grown to `flush_ops`, and otherwise when it was left alone
for `flush_idle_seconds`. The child (`jobs.index_worker`) is a process of its own because a busy Python thread slows the
building of a graph, and the other way round. Nothing here holds data: whatever a crash interrupts is found and taken up
at the next start.
"""

import logging
import subprocess
import sys
from dataclasses import dataclass
from uuid import UUID

import orjson

from afterglow.catalog import Catalog, collections
from afterglow.collection.replica.indexing_progress import indexing_status, unflushed
from afterglow.deployment.base import Deployment
from afterglow.errors import Corrupt, Unavailable
from afterglow.jobs import gc, maintenance, ttl_sweep
from afterglow.jobs.maintenance import maintain
from afterglow.log import trim
from afterglow.settings import child_environment
from afterglow.storage.local.queue import ThreadQueue
from afterglow.storage.ports import Stores

_log = logging.getLogger(__name__)

_SWEEP = "sweep"
_IDLE = "idle"
_SWEEP_SECONDS = 60.0
_START_SECONDS = 0.5
"""The first answer after a start comes before what an earlier process left undone."""
_IDLE_SECONDS = 10.0
_LOOK_SECONDS = 0.25
_COLLECT_SECONDS = 3600.0
_COLLECTING_SECONDS = 5.0


@dataclass(slots=True)
class _CollectionState:
    """What is known of a collection that was written lately."""

    last: int = -1
    """The newest log entry seen, and since when."""
    written_at: float = 0.0
    looked_at: float = 0.0
    is_caught_up: bool = True
    """Whether it was indexed to the end, as in quiet, since it was last indexed in haste."""


class IndexScheduler:
    """Decides when to index which collection, and has the child do it."""

    def __init__(self, place: Deployment, stores: Stores, queue: ThreadQueue) -> None:
        self._place = place
        self._stores = stores
        self._queue = queue
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._cases: dict[str, _CollectionState] = {}
        self._found_expired_at = float("-inf")
        self._collect_at = stores.system.now() + _SWEEP_SECONDS

    def start(self) -> None:
        """Begin to listen to the queue; soon take up what an earlier process left undone."""
        self._queue.send_later(_SWEEP, "start", _START_SECONDS)
        self._queue.start(self.handle)

    def handle(self, group: str, body: str) -> float | None:
        """Work on one nudge; seconds until the group should be looked at again, if it should."""
        if group == _IDLE:
            self._end_child()
            return None
        if group == _SWEEP:
            if body == "start":
                self._recover()
            maintain(self._place, self._stores)
            self._find_expired()
            self._collect()
            return _SWEEP_SECONDS
        return self._check(group)

    def _recover(self) -> None:
        """Find what an earlier process left unfinished."""
        for each in Catalog(self._stores.table, self._stores.system).collections():
            try:
                if self._is_unfinished(each):
                    self._cases[str(each)] = _CollectionState(is_caught_up=False)
                    self._queue.send(str(each), "start")
            except Corrupt as error:
                _log.error("collection %s is left alone: %s", each, error)

    def _find_expired(self) -> None:
        """Find the collections with expired records, every `ttl_sweep_seconds`."""
        now = self._stores.system.now()
        if now - self._found_expired_at >= self._stores.settings.ttl_sweep_seconds:
            self._found_expired_at = now
            for each in ttl_sweep.collections_due(self._stores):
                self._queue.send(str(each), "expired")

    def _collect(self) -> None:
        """Remove what is past its time, from time to time and for some seconds, one collection after the other."""
        now = self._stores.system.now()
        if now >= self._collect_at:
            self._collect_at = now + _COLLECT_SECONDS
            end = now + _COLLECTING_SECONDS
            with self._place.exclusive_lock():
                maintenance.collect(self._stores, lambda: not self._closed and self._stores.system.now() < end)

    def _is_unfinished(self, collection_id: UUID) -> bool:
        present = collections.by_id(self._stores.table, collection_id)
        if present is None:
            return False
        trim.delete_expired_placeholders(self._stores, collection_id)
        status = indexing_status(self._stores, present)
        return status.indexed_ops < status.total_ops

    def close(self) -> None:
        """Stop: what the child is doing is cut off, which no promise depends on."""
        self._closed = True
        child = self._child
        if child is not None:
            child.terminate()
        self._queue.close()
        self._end_child()

    def _check(self, group: str) -> float | None:
        settings, now = self._stores.settings, self._stores.system.now()
        case = self._cases.setdefault(group, _CollectionState())
        if now < case.looked_at + _LOOK_SECONDS:
            return case.looked_at + _LOOK_SECONDS - now
        case.looked_at = now
        tail = unflushed(self._stores, UUID(group))
        if tail is None:
            del self._cases[group]
            return None
        if tail.ops >= settings.flush_ops or tail.size >= settings.flush_bytes:
            case.is_caught_up = False
            self._index(group, quiet=False)
            return settings.flush_idle_seconds
        if case.last != tail.last:
            case.last, case.written_at = tail.last, now
        quiet_at = case.written_at + settings.flush_idle_seconds
        if now < quiet_at:
            return quiet_at - now
        if tail.ops or not case.is_caught_up or ttl_sweep.is_due(tail.collection, now):
            self._index(group, quiet=True)
            case.is_caught_up = True
            return settings.gc_grace_seconds + 1
        with self._place.exclusive_lock():
            gc.collect_garbage(self._stores, UUID(group))
        del self._cases[group]
        return None

    def _index(self, group: str, *, quiet: bool) -> None:
        request = orjson.dumps({"collection": group, "quiet": quiet}, option=orjson.OPT_APPEND_NEWLINE)
        answer = self._request(request) or self._request(request)
        if self._closed:
            return
        if answer is None:
            raise Unavailable(f"the indexer process ended while it worked on collection {group}")
        report = orjson.loads(answer)
        if "error" in report:
            raise Unavailable(report["error"])
        _log.info("indexed collection %s: %s", group, {key: report[key] for key in report if key != "collection"})

    def _request(self, request: bytes) -> bytes | None:
        """The child's answer, None where it died of the request; the next call starts another child."""
        if self._closed:
            return None
        if self._child is None or self._child.poll() is not None:
            self._end_child()
            self._child = subprocess.Popen(  # noqa: S603  our own interpreter and module
                [sys.executable, "-m", "afterglow.jobs.index_worker", self._place.worker_argument()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=child_environment(),
                start_new_session=True,
            )
        child = self._child
        if child.stdin is None or child.stdout is None:
            raise AssertionError("the child has pipes")
        self._queue.send_later(_IDLE, "", _IDLE_SECONDS)
        try:
            child.stdin.write(request)
            child.stdin.flush()
        except BrokenPipeError:
            self._end_child()
            return None
        answer = child.stdout.readline()
        if not answer:
            self._end_child()
            return None
        return answer

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
