"""One data directory as a running engine: the stores, and the background work on a thread and a child process.

The queue's thread decides what is worth doing and when; the child (`jobs.child`) does it. A collection is indexed at
once when its unindexed tail has grown to `fold_ops`, and otherwise when it was left alone for `fold_quiet_seconds`.
Nothing here holds data: whatever a crash interrupts is found and taken up at the next start.
"""

import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import orjson

from afterglow.catalog import Catalog, collections
from afterglow.collection import Engine
from afterglow.collection.progress import indexing_status, waiting
from afterglow.collection.replica import Replica
from afterglow.errors import Corrupt, Unavailable
from afterglow.jobs import garbage
from afterglow.jobs.index import Report, index
from afterglow.jobs.places import Directory, NoQueue, indexing_alone, open_place, sweep
from afterglow.log import trim
from afterglow.settings import Ambient, Settings, child_environment
from afterglow.storage.local.queue import ThreadQueue
from afterglow.storage.stores import Stores

_log = logging.getLogger(__name__)

_SWEEP = "sweep"
_IDLE = "idle"
_SWEEP_SECONDS = 60.0
_START_SECONDS = 0.5
"""The first answer after a start comes before what an earlier process left undone."""
_IDLE_SECONDS = 10.0
_LOOK_SECONDS = 0.25


def open_directory(path: Path, settings: Settings, ambient: Ambient) -> Engine:
    """The engine over the data directory `path`, created when missing, with its background indexer running.

    Raises Corrupt, StorageFull, Unavailable.
    """
    place = open_place(path, ambient)
    queue = ThreadQueue(ambient)
    stores = place.stores(settings, ambient, queue)
    engine = Engine(
        stores,
        background=ThreadPoolExecutor(1, thread_name_prefix="afterglow-refresh"),
        on_close=[(indexer := _Indexer(place, stores, queue)).close],
    )
    engine.catalog.ensure_defaults()
    queue.send_later(_SWEEP, "start", _START_SECONDS)
    queue.start(indexer.handle)
    return engine


def compact_directory(
    path: Path, settings: Settings, ambient: Ambient, collection: UUID | None = None
) -> Iterator[Report]:
    """Fold and merge every collection of a data directory (or one), here and now; a report for each."""
    place = open_place(path, ambient)
    stores = place.stores(settings, ambient, NoQueue())
    with indexing_alone(place):
        for each in list(_collections(stores)) if collection is None else [collection]:
            yield index(stores, Replica(stores, each), each, quiet=True)
    sweep(place, stores, thorough=True)
    place.table.close()


@dataclass(slots=True)
class _Case:
    """What is known of a collection that was written lately."""

    last: int = -1
    """The newest log entry seen, and since when."""
    written_at: float = 0.0
    looked_at: float = 0.0
    is_settled: bool = True
    """Whether it was indexed to the end, as in quiet, since it was last indexed in haste."""


class _Indexer:
    """Decides when to index which collection, and has the child do it."""

    def __init__(self, place: Directory, stores: Stores, queue: ThreadQueue) -> None:
        self._place = place
        self._stores = stores
        self._queue = queue
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._cases: dict[str, _Case] = {}

    def handle(self, group: str, body: str) -> float | None:
        """Work on one nudge; seconds until the group should be looked at again, if it should."""
        if group == _IDLE:
            self._end_child()
            return None
        if group == _SWEEP:
            if body == "start":
                self._take_up()
            sweep(self._place, self._stores)
            return _SWEEP_SECONDS
        return self._look_after(group)

    def _take_up(self) -> None:
        """Find what an earlier process left unfinished."""
        for each in list(_collections(self._stores)):
            try:
                if self._is_unfinished(each):
                    self._cases[str(each)] = _Case(is_settled=False)
                    self._queue.send(str(each), "start")
            except Corrupt as error:
                _log.error("collection %s is left alone: %s", each, error)

    def _is_unfinished(self, collection_id: UUID) -> bool:
        present = collections.by_id(self._stores.table, collection_id)
        if present is None:
            return False
        trim.expire(self._stores, collection_id)
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

    def _look_after(self, group: str) -> float | None:
        settings, now = self._stores.settings, self._stores.ambient.now()
        case = self._cases.setdefault(group, _Case())
        if now < case.looked_at + _LOOK_SECONDS:
            return case.looked_at + _LOOK_SECONDS - now
        case.looked_at = now
        tail = waiting(self._stores, UUID(group))
        if tail is None:
            del self._cases[group]
            return None
        if tail.ops >= settings.fold_ops or tail.size >= settings.fold_bytes:
            case.is_settled = False
            self._index(group, quiet=False)
            return settings.fold_quiet_seconds
        if case.last != tail.last:
            case.last, case.written_at = tail.last, now
        quiet_at = case.written_at + settings.fold_quiet_seconds
        if now < quiet_at:
            return quiet_at - now
        if tail.ops or not case.is_settled:
            self._index(group, quiet=True)
            case.is_settled = True
            return settings.garbage_grace_seconds + 1
        with indexing_alone(self._place):
            garbage.collect(self._stores, UUID(group))
        del self._cases[group]
        return None

    def _index(self, group: str, *, quiet: bool) -> None:
        request = orjson.dumps({"collection": group, "quiet": quiet}, option=orjson.OPT_APPEND_NEWLINE)
        answer = self._ask(request) or self._ask(request)
        if self._closed:
            return
        if answer is None:
            raise Unavailable(f"the indexer process ended while it worked on collection {group}")
        report = orjson.loads(answer)
        if "error" in report:
            raise Unavailable(report["error"])
        _log.info("indexed collection %s: %s", group, {key: report[key] for key in report if key != "collection"})

    def _ask(self, request: bytes) -> bytes | None:
        """The child's answer, None where it died of the request; the next call starts another child."""
        if self._closed:
            return None
        if self._child is None or self._child.poll() is not None:
            self._end_child()
            self._child = subprocess.Popen(  # noqa: S603  our own interpreter and module
                [sys.executable, "-m", "afterglow.jobs.child", str(self._place.path)],
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


def _collections(stores: Stores) -> Iterator[UUID]:
    catalog = Catalog(stores.table, stores.ambient)
    for tenant in catalog.list_tenants():
        for database in catalog.list_databases(tenant):
            yield from collections.ids(stores.table, database.home)
