"""Reads objects of a bucket, many at once: hedged, retried, bounded in time.

An attempt is one GET. A span is read like this::

    0 ms      first attempt
    60 ms     no response has begun: a second attempt as well; the first to respond goes on, the other is cancelled
    error     refused, broken, short or timed out: the next attempt after 20 to 50 ms, then twice that, up to 1 s
    10 s      no further attempt: Unavailable, or Busy if S3 refused the last one; earlier if the request has a deadline

The requests run in obstore (Rust), on an event loop in a thread of this module's own, so they can be awaited from any
thread and cancelled. Before the process ends, running requests are cancelled and awaited: obstore aborts the process if
one of them outlives the interpreter.
"""

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError

from afterglow.deadline import seconds_left
from afterglow.errors import Busy, Unavailable
from afterglow.metering import Usage, current_usage
from afterglow.settings import System
from afterglow.storage.aws.error_mapping import throttled
from afterglow.storage.ports import ObjectNotFound

if TYPE_CHECKING:
    from obstore import GetOptions

T = TypeVar("T")

HEDGE_SECONDS = 0.06
MAX_SECONDS = 10.0
_FIRST_PAUSE, _LAST_PAUSE = 0.035, 1.0
_CONCURRENCY = 64
_MIN_HEDGES, _HEDGED_SHARE = 2, 4
"""Of the reads of one call every fourth may be hedged: more are late only if something else is slow."""
_OPERATION = "s3.GetObject"
_THROTTLED = "SlowDown"
_NO_BUCKET = "NoSuchBucket"
"""S3's error codes, which obstore's messages contain."""


class ObjectReplaced(Exception):
    """The object is no longer the version that was asked for."""


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes of an attempt, the size of the whole object, and its version."""

    data: memoryview
    size: int
    etag: str | None


class SpanRequest(Protocol):
    """A read of `start` ≤ byte < `stop` of an object, and the consumer of its bytes."""

    @property
    def key(self) -> str:
        """The object."""

    @property
    def bounds(self) -> tuple[int, int]:
        """Start and stop."""

    @property
    def etag(self) -> str | None:
        """The version to read, None if any will do."""

    def deliver(self, part: Part) -> None:
        """Accept the bytes; called once, in any thread. Raises whatever ends the whole read."""


class Reader(Protocol):
    """Reads objects of one bucket."""

    def read_spans(self, requests: Sequence[SpanRequest]) -> None:
        """Read all spans at once and deliver each. Raises ObjectNotFound, ObjectReplaced, Unavailable, Busy."""

    def read_objects(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes of each object, None for a missing one. Raises Unavailable, Busy."""

    def close(self) -> object:
        """Cancel what is running and close connections."""


class ObjectReader:
    """The reader of one bucket, by obstore. Safe for any number of threads."""

    def __init__(self, store: Any, name: str, system: System) -> None:
        """`store` is an obstore `S3Store` without retries of its own, `name` that of the bucket in messages."""
        self._store = store
        self._name = name
        self._system = system
        self._loop = _EventLoop()
        self.close = weakref.finalize(self, self._loop.close)
        """Cancel what is running; runs automatically at exit."""

    def read_spans(self, requests: Sequence[SpanRequest]) -> None:
        """Read all spans at once and deliver each. Raises ObjectNotFound, ObjectReplaced, Unavailable, Busy."""
        batch = self._batch(len(requests))

        async def read(request: SpanRequest) -> None:
            request.deliver(await self._read(batch, request.key, request.bounds, request.etag))

        self._loop.run(_gather([partial(read, request) for request in requests]))

    def read_objects(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes of each object, None for a missing one. Raises Unavailable, Busy."""
        batch = self._batch(len(keys))

        async def read(key: str) -> bytes | None:
            try:
                return bytes((await self._read(batch, key)).data)
            except ObjectNotFound:
                return None

        return self._loop.run(_gather([partial(read, key) for key in keys]))

    def _batch(self, size: int) -> "_Batch":
        deadline = self._system.monotonic() + seconds_left(MAX_SECONDS)
        return _Batch(deadline, current_usage(), max(_MIN_HEDGES, size // _HEDGED_SHARE))

    async def _read(
        self, batch: "_Batch", key: str, bounds: tuple[int, int] | None = None, etag: str | None = None
    ) -> Part:
        options: dict[str, Any] = {} if bounds is None else {"range": bounds}
        if etag is not None:
            options["if_match"] = etag
        pause, failure = _FIRST_PAUSE, "no response in time"
        while True:
            try:
                async with asyncio.timeout(max(batch.deadline - self._system.monotonic(), _FIRST_PAUSE)):
                    return await self._hedged(batch, key, options)
            except FileNotFoundError as error:
                if _NO_BUCKET in str(error):
                    raise Unavailable(f"{self._name} does not exist: deploy the stack, or check its name") from error
                raise ObjectNotFound(f"object {key} does not exist") from None
            except (PermissionDeniedError, UnauthenticatedError) as error:
                raise Unavailable(
                    f"{self._name} refused access ({_summary(error)}): check the role's policy and the credentials"
                ) from error
            except PreconditionError:
                raise ObjectReplaced(key) from None
            except (BaseError, TimeoutError, ValueError) as error:
                failure = _summary(error) or failure
                if batch.deadline - self._system.monotonic() <= pause:
                    raise _error(self._name, failure) from error
            await asyncio.sleep(pause * (0.6 + 0.8 * self._system.random.random()))
            pause = min(2 * pause, _LAST_PAUSE)

    async def _hedged(self, batch: "_Batch", key: str, options: dict[str, Any]) -> Part:
        """The part from the attempt that responds first; raises the error of the last one to fail."""
        tasks = {asyncio.ensure_future(self._respond(batch, key, options))}
        try:
            done, pending = await asyncio.wait(tasks, timeout=HEDGE_SECONDS)
            if not done and batch.hedges > 0:
                batch.hedges -= 1
                tasks.add(asyncio.ensure_future(self._respond(batch, key, options)))
                pending = set(tasks)
            while pending and not any(task.exception() is None for task in done):
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            response = min(done, key=lambda task: task.exception() is not None).result()
        finally:
            await _cancel(tasks)
        data = memoryview(await response.bytes_async()).cast("B")
        if batch.usage is not None:
            batch.usage.add_bytes_read(len(data))
        return Part(data, response.meta["size"], response.meta["e_tag"])

    async def _respond(self, batch: "_Batch", key: str, options: dict[str, Any]) -> Any:
        if batch.usage is not None:
            batch.usage.call(_OPERATION)
        return await obstore.get_async(self._store, key, options=cast("GetOptions", options))


@dataclass(slots=True)
class _Batch:
    """What the reads of one call share: when to give up, who counts, and how many second attempts are left."""

    deadline: float
    usage: Usage | None
    hedges: int


async def _gather(jobs: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Run the jobs, a limited number at once; after a failure the others are cancelled and awaited."""
    slots = asyncio.Semaphore(_CONCURRENCY)

    async def run(job: Callable[[], Awaitable[T]]) -> T:
        async with slots:
            return await job()

    tasks = [asyncio.ensure_future(run(job)) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await _cancel(tasks)


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel and await the tasks."""
    tasks = [*tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _summary(error: Exception) -> str:
    """Obstore's message without its dump of the error's structure."""
    return str(error).partition("\n")[0]


def _error(name: str, failure: str) -> Busy | Unavailable:
    return throttled(name) if _THROTTLED in failure else Unavailable(f"{name} did not respond: {failure}")


class _EventLoop:
    """An event loop in a daemon thread, started on first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it and return its result; an interrupt cancels it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._started())
        try:
            return future.result()
        except CancelledError:
            raise Unavailable("the read was cancelled: its process is ending") from None
        finally:
            future.cancel()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="afterglow-object-reader", daemon=True
                )
                self._thread.start()
            return self._loop

    def close(self) -> None:
        """Cancel and await everything, then end the thread."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        if threading.current_thread() is thread:
            loop.stop()
            return
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_all() -> None:
    await _cancel(task for task in asyncio.all_tasks() if task is not asyncio.current_task())
