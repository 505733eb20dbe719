"""Background indexing on one machine: threads decide what to index and when, child processes do it.

A collection is flushed at once when its unflushed log has reached `flush_ops` operations or `flush_bytes`, and
otherwise after `flush_idle_seconds` without a write. When a flush leaves segments to compact, the collection is
compacted by another child, which has a queue and a thread of its own: a compaction takes minutes, and meanwhile flushes
keep the log small, so that no writer is refused. The children (`jobs.index_worker`) are processes because a busy
Python thread slows the building of a graph, and a build slows requests. The scheduler holds no data: the next start
finds and resumes whatever a crash interrupts. A child that hangs is replaced (`deployment.hang_watch`).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import orjson

from afterglow.catalog import Catalog, collections
from afterglow.catalog.model import Collection
from afterglow.collection.replica.indexing_progress import indexing_status, unflushed, waiting_ops
from afterglow.deployment.base import Deployment
from afterglow.deployment.hang_watch import OnSilence
from afterglow.errors import Corrupt, Unavailable
from afterglow.jobs import erasure, functions, gc, maintenance, ttl_sweep
from afterglow.jobs.clock_watch import ClockWatch
from afterglow.jobs.compaction_policy import next_compaction
from afterglow.jobs.index_process import STOP_CHILD, IndexProcess
from afterglow.jobs.maintenance import maintain
from afterglow.segment import manifest as manifests
from afterglow.storage.local.queue import ThreadQueue
from afterglow.storage.ports import Stores

_log = logging.getLogger(__name__)

_MAINTAIN = "maintain"
_START_CHILD = "start the child"
_IDLE = "idle"
_MAINTAIN_SECONDS = 60.0
_RECOVER_SECONDS = 0.5
"""Delay of the recovery after a start, so that the first responses do not wait for it."""
_RESUME_SECONDS = 60.0
"""Delay of compactions that no query waits for: a script that ends soon does not begin them."""
_CHECK_SECONDS = 0.25
"""Minimum time between two checks of a collection."""
_COLLECT_SECONDS = 3600.0
_COLLECT_MAX_SECONDS = 5.0


@dataclass(slots=True)
class _CollectionState:
    """State of a recently written collection; times are monotonic seconds."""

    last_seq: int = -1
    """The newest log entry seen."""
    written_at: float = 0.0
    """When that entry was first seen."""
    checked_at: float = 0.0
    waiting_ops: int = 0
    """Operations that wait for an index, as of the last check."""
    total_ops: int = 0
    """All operations as of that check."""
    is_caught_up: bool = True
    """Whether an idle run has indexed it since the last run under load."""


OnIndexRun = Callable[[float, Mapping[str, Any] | None], None]
"""Receives the seconds of a run of the indexer, and the fields of its `IndexReport`, None for a run that failed."""


class IndexScheduler:
    """Decides when to flush and to compact which collection, and requests it from the child processes."""

    def __init__(
        self,
        deployment: Deployment,
        stores: Stores,
        queue: ThreadQueue,
        on_run: OnIndexRun | None = None,
        on_silence: OnSilence = lambda _: None,
    ) -> None:
        self._on_run = on_run
        self._deployment = deployment
        self._stores = stores
        self._queue = queue
        self._flusher = IndexProcess(deployment, queue, on_silence)
        self._compactor = IndexProcess(deployment, ThreadQueue(stores.system), on_silence)
        self._closed = False
        self._collections: dict[str, _CollectionState] = {}
        self._clock = ClockWatch(stores.system)
        self._expired_checked_at = float("-inf")
        self._next_gc_at = stores.system.monotonic() + _MAINTAIN_SECONDS

    def start(self) -> None:
        """Start to listen to the queue; soon afterwards resume what an earlier process left unfinished."""
        self._queue.send_later(_MAINTAIN, "start", _RECOVER_SECONDS)
        self._queue.start(self.handle)
        self._compactor.queue.start(self.handle_compaction)

    def handle_compaction(self, group: str, body: str) -> None:
        """Handle one message of the compactor: compact the collection, as an idle one or one under load."""
        if group == STOP_CHILD:
            self._compactor.end_child()
        elif group == _START_CHILD:
            self._compactor.start_child()
        else:
            self._index(self._compactor, group, {"compact": body == _IDLE})

    def handle(self, group: str, body: str) -> float | None:
        """Handle one message; seconds until the group must be handled again, None if it need not be."""
        if group == STOP_CHILD:
            self._flusher.end_child()
            return None
        if group == _MAINTAIN:
            if body == "start":
                self._recover()
            self._maintain()
            return _MAINTAIN_SECONDS
        return self._check(group)

    def _maintain(self) -> None:
        """Run every task, also after one has failed; then raises the first error."""
        self._clock.check()
        errors: list[Exception] = []
        clean_up: Callable[[], None] = partial(maintain, self._deployment, self._stores)
        for task in (clean_up, self._enqueue_expired, self._collect_garbage, self._erase):
            try:
                task()
            except Exception as error:  # noqa: BLE001  raised below
                errors.append(error)
        if errors:
            raise errors[0]

    def _recover(self) -> None:
        """Enqueue what an earlier process left unfinished."""
        for collection_id in Catalog(self._stores.table, self._stores.system).collections():
            try:
                collection = collections.by_id(self._stores.table, collection_id)
                if collection is None:
                    continue
                if self._is_unfinished(collection):
                    self._collections[str(collection_id)] = _CollectionState(is_caught_up=False)
                    self._queue.send(str(collection_id), "start")
                elif self._is_worth_compacting(collection):
                    self._compactor.queue.send_later(str(collection_id), _IDLE, _RESUME_SECONDS)
            except Corrupt as error:
                _log.error("skipping corrupt collection %s: %s", collection_id, error)
            except Exception:  # noqa: BLE001  the others are resumed
                _log.exception("skipping collection %s", collection_id)

    def _enqueue_expired(self) -> None:
        """Enqueue the collections with expired records, every `ttl_sweep_seconds`."""
        now = self._stores.system.monotonic()
        if now - self._expired_checked_at >= self._stores.settings.ttl_sweep_seconds:
            self._expired_checked_at = now
            for collection_id in ttl_sweep.collections_due(self._stores):
                self._queue.send(str(collection_id), "expired")

    def _collect_garbage(self) -> None:
        """Once an hour collect garbage, one collection after another, for a few seconds."""
        now = self._stores.system.monotonic()
        if now >= self._next_gc_at:
            self._next_gc_at = now + _COLLECT_SECONDS
            end = now + _COLLECT_MAX_SECONDS
            with self._deployment.exclusive_lock(wait=False) as is_held:
                if not is_held:
                    self._next_gc_at = now  # a compaction is at work: the next maintenance tries again
                    return
                maintenance.collect(self._stores, lambda: not self._closed and self._stores.system.monotonic() < end)

    def _erase(self) -> None:
        """Continue erasures, unless a compaction is at work: then the next maintenance does."""
        if erasure.is_pending(self._stores):
            with self._deployment.exclusive_lock(wait=False) as is_held:
                if is_held:
                    erasure.advance(self._stores)

    def _is_unfinished(self, collection: Collection) -> bool:
        status = indexing_status(self._stores, collection)
        return status.indexed_ops < status.total_ops

    def _is_worth_compacting(self, collection: Collection) -> bool:
        if collection.manifest_key is None:
            return False
        manifest = manifests.load(self._stores.objects, collection.manifest_key)
        return next_compaction(manifest, self._stores.settings, idle=True, stepwise=True) is not None

    def problem(self, collection_id: UUID) -> str | None:
        """The error of a collection whose flush or compaction fails again and again."""
        queues = (self._queue, self._compactor.queue)
        return next((str(error) for queue in queues if (error := queue.lasting_failure(str(collection_id)))), None)

    def waiting_ops(self, collection_id: UUID, total_ops: int) -> int:
        """Operations of a collection that wait for an index, of `total_ops` in all; 0 if it was not written lately.

        What was written since the last check waits, too: during a flush there is none.
        """
        state = self._collections.get(str(collection_id))
        return 0 if state is None else state.waiting_ops + max(total_ops - state.total_ops, 0)

    def check(self) -> None:
        """Raises Unavailable while a child does not respond."""
        if self._flusher.is_silent or self._compactor.is_silent:
            raise Unavailable("an indexer process does not respond; it is replaced soon")

    def close(self) -> None:
        """Stop. The work of the children is cut off, which no guarantee depends on."""
        self._closed = True
        self._compactor.close()
        self._flusher.close()

    def _check(self, group: str) -> float | None:
        settings, now = self._stores.settings, self._stores.system.monotonic()
        state = self._collections.setdefault(group, _CollectionState())
        if now < state.checked_at + _CHECK_SECONDS:
            return state.checked_at + _CHECK_SECONDS - now
        state.checked_at = now
        log_tail = unflushed(self._stores, UUID(group))
        if log_tail is None:
            del self._collections[group]
            return None
        state.waiting_ops = waiting_ops(self._stores, log_tail)
        state.total_ops = log_tail.collection.flushed_ops + log_tail.ops
        if log_tail.ops >= settings.flush_ops or log_tail.byte_size >= settings.flush_bytes:
            state.is_caught_up = False
            if log_tail.ops >= settings.hnsw_min_rows:
                # What is flushed will be worth an index: by then the process that builds it has started.
                self._compactor.queue.send(_START_CHILD, "")
            self._flush(group, log_tail.last_seq)
            return settings.flush_idle_seconds
        if state.last_seq != log_tail.last_seq:
            state.last_seq, state.written_at = log_tail.last_seq, now
        idle_at = state.written_at + settings.flush_idle_seconds
        if now < idle_at:
            return idle_at - now
        is_due = ttl_sweep.is_due(log_tail.collection, self._stores.system.now())
        is_due = is_due or functions.is_due(log_tail.collection, log_tail.last_seq)
        if log_tail.ops or not state.is_caught_up or is_due:
            state.is_caught_up = self._flush(group, None)
            return settings.gc_grace_seconds + 1 if state.is_caught_up else settings.flush_idle_seconds
        with self._deployment.exclusive_lock(wait=False) as is_held:
            if not is_held:
                return settings.gc_grace_seconds + 1  # a compaction is at work
            gc.collect_garbage(self._stores, UUID(group))
        del self._collections[group]
        return None

    def _flush(self, group: str, up_to: int | None) -> bool:
        """Flush up to a log entry, or all as of an idle collection; whether that is done. Raises Unavailable."""
        report = self._index(self._flusher, group, {"up_to": up_to})
        for output in () if report is None else report["outputs"]:
            self._queue.send(output, "function")
        if report is not None and report["needs_compaction"]:
            self._compactor.queue.send(group, _IDLE if up_to is None else "")
        return report is not None and not report["is_unfinished"]

    def _index(self, process: IndexProcess, group: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """The report of a request about a collection, None when closed meanwhile. Raises Unavailable."""
        started = self._stores.system.monotonic()
        report = process.request({"collection": group, **request})
        if self._closed:
            return None
        failed = report is None or "error" in report
        if self._on_run is not None:
            self._on_run(self._stores.system.monotonic() - started, None if failed else report)
        if report is None:
            raise Unavailable(f"the indexer process ended while it worked on collection {group}")
        if "error" in report:
            raise Unavailable(report["error"])
        _log.info("%s", indexed_event(report))
        return report


def indexed_event(report: Mapping[str, Any]) -> str:
    """The line of the log about a run: a JSON object with the fields of its `IndexReport` that say something."""
    return orjson.dumps({"event": "indexed", **{name: value for name, value in report.items() if value}}).decode()
