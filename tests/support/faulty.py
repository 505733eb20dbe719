"""Ports that fail on purpose: each wraps a working one, and `Faults` decides the outcome of the next call.

::

    REFUSED        fails before anything was applied                                     Unavailable
    LOST           applied, and then the response is lost                                Unavailable
    REPEATED       applied, the response lost, and tried again by the adapter itself     the second response
    CRASH_BEFORE   the process dies before the call is applied                           Crash
    CRASH_AFTER    the process dies when the call has been applied                       Crash

After a crash every further call crashes too: the process has ended, and none of its clean-up code has any effect.
"""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import TypeVar

from afterglow.errors import Unavailable
from afterglow.storage.ports import (
    Bytes,
    ConditionFailed,
    Item,
    LazyFile,
    ObjectInfo,
    ObjectNotFound,
    Objects,
    Put,
    Queue,
    Ranges,
    Table,
    Write,
)

T = TypeVar("T")


class Fault(Enum):
    """The outcome of a call."""

    REFUSED = auto()
    LOST = auto()
    REPEATED = auto()
    CRASH_BEFORE = auto()
    CRASH_AFTER = auto()


class Crash(BaseException):
    """The process has ended. Not an Exception, so that no handler continues."""


FaultChoice = Callable[[int, str], Fault | None]
"""The outcome of the call with this number (from 0) and name."""


class Faults:
    """Counts the calls of all ports that share it; `calls` are their names, in order."""

    def __init__(self, choice: FaultChoice | None = None) -> None:
        self.choose: FaultChoice = choice or _no_fault
        self.calls: list[str] = []
        self._crashed = False
        self._lock = threading.Lock()

    def call(self, name: str, apply: Callable[[], T]) -> T:
        """Carry out one call of a port."""
        with self._lock:
            if self._crashed:
                raise Crash
            number = len(self.calls)
            self.calls.append(name)
            fault = self.choose(number, name)
            self._crashed = fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
        match fault:
            case None:
                return apply()
            case Fault.CRASH_BEFORE:
                raise Crash(f"before call {number}, {name}")
            case Fault.REFUSED:
                raise Unavailable(f"{name} was refused on purpose")
            case Fault.REPEATED:
                _apply_and_discard(apply)
                return apply()
            case Fault.LOST:
                _apply_and_discard(apply)
                raise Unavailable(f"the response of {name} was lost on purpose")
            case Fault.CRASH_AFTER:
                _apply_and_discard(apply)
                raise Crash(f"after call {number}, {name}")


def _no_fault(number: int, name: str) -> None:
    return None


def nth(number: int, fault: Fault) -> FaultChoice:
    """Only the call of this number fails."""
    return lambda at, _: fault if at == number else None


def seeded(seed: int, share: float, faults: Sequence[Fault]) -> FaultChoice:
    """A share of all calls fails, each with one of these faults; the same seed fails the same calls."""
    source = random.Random(seed)
    return lambda _, __: source.choice(faults) if source.random() < share else None


def _apply_and_discard(apply: Callable[[], object]) -> None:
    try:
        apply()
    except (ConditionFailed, ObjectNotFound):
        pass


class FaultyTable:
    """A Table that fails according to `faults`."""

    def __init__(self, inner: Table, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults
        self.has_cheap_transactions = inner.has_cheap_transactions

    def time(self) -> float | None:
        return self._inner.time()

    def change_marker(self) -> None:
        """Unknown, so that every read reads, and may fail."""

    def get(self, pk: str, sk: str) -> Item | None:
        return self._faults.call("table.get", lambda: self._inner.get(pk, sk))

    def get_many(self, keys: Sequence[tuple[str, str]]) -> list[Item | None]:
        return self._faults.call("table.get_many", lambda: self._inner.get_many(keys))

    def put(
        self,
        pk: str,
        sk: str,
        value: bytes,
        *,
        if_absent: bool = False,
        if_version: int | None = None,
        expires_at: int | None = None,
    ) -> int:
        def apply() -> int:
            return self._inner.put(pk, sk, value, if_absent=if_absent, if_version=if_version, expires_at=expires_at)

        return self._faults.call(f"table.put {sk}", apply)

    def put_many(self, puts: Sequence[Put]) -> None:
        self._faults.call("table.put_many", lambda: self._inner.put_many(puts))

    def query(
        self,
        pk: str,
        *,
        after: str = "",
        before: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[Item]:
        def apply() -> list[Item]:
            return self._inner.query(pk, after=after, before=before, limit=limit, reverse=reverse)

        return self._faults.call("table.query", apply)

    def delete(self, pk: str, sk: str, *, if_version: int | None = None) -> None:
        self._faults.call(f"table.delete {sk}", lambda: self._inner.delete(pk, sk, if_version=if_version))

    def transact(self, writes: Sequence[Write]) -> None:
        self._faults.call("table.transact", lambda: self._inner.transact(writes))

    def scrub(self) -> bool:
        return self._faults.call("table.scrub", self._inner.scrub)

    def close(self) -> None:
        self._inner.close()


class Dated(FaultyTable):
    """A table whose responses name this time."""

    def __init__(self, inner: Table, now: float) -> None:
        super().__init__(inner, Faults())
        self._now = now

    def time(self) -> float:
        return self._now


class FaultyObjects:
    """Objects that fail according to `faults`."""

    def __init__(self, inner: Objects, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    @property
    def evicts(self) -> bool:
        return self._inner.evicts

    def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        self._faults.call(f"objects.put {key}", lambda: self._inner.put(key, data, if_absent=if_absent))

    def temporary_path(self, name: str) -> Path:
        return self._inner.temporary_path(name)

    def upload(self, key: str, path: Path) -> None:
        def apply() -> None:
            if path.exists():  # an upload that is repeated has been consumed already
                self._inner.upload(key, path)

        self._faults.call(f"objects.upload {key}", apply)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return self._faults.call(f"objects.get {key}", lambda: self._inner.get(key, start, length))

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return self._faults.call("objects.get_many", lambda: self._inner.get_many(keys))

    def prefetch(self, keys: Sequence[str]) -> None:
        self._faults.call("objects.prefetch", lambda: self._inner.prefetch(keys))

    def local_path(self, key: str) -> Path:
        return self._faults.call(f"objects.local_path {key}", lambda: self._inner.local_path(key))

    def lazy(self, key: str, size: int) -> LazyFile:
        return self._faults.call(f"objects.lazy {key}", lambda: self._inner.lazy(key, size))

    def need(self, requested: Sequence[tuple[LazyFile, Ranges]]) -> list[Bytes]:
        return self._faults.call("objects.need", lambda: self._inner.need(requested))

    def reserve_space(self) -> None:
        self._inner.reserve_space()

    def release_space(self) -> bool:
        return self._inner.release_space()

    def invalidate(self, key: str) -> bool:
        return self._inner.invalidate(key)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        return iter(self._faults.call(f"objects.list {prefix}", lambda: [*self._inner.list(prefix, after=after)]))

    def delete_many(self, keys: Sequence[str]) -> None:
        self._faults.call(f"objects.delete_many {len(keys)}", lambda: self._inner.delete_many(keys))

    def delete(self, key: str) -> None:
        self._faults.call(f"objects.delete {key}", lambda: self._inner.delete(key))


class FaultyQueue:
    """A Queue that fails according to `faults`."""

    def __init__(self, inner: Queue, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    def send(self, group: str, body: str) -> None:
        self._faults.call("queue.send", lambda: self._inner.send(group, body))
