"""Processes over the simulated stores: each has its own clock and engine, meets faults, dies and starts again.

Every call of a port is two scheduling points, one before it takes effect and one before its response arrives; at either
the process may die, and the call or its response may be lost. After its death every further call of the
incarnation dies too: none of its clean-up code has any effect.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import TypeVar

from afterglow.collection import Engine
from afterglow.errors import Unavailable
from afterglow.settings import Settings, System
from afterglow.storage.local.mapped_object import MappedObject
from afterglow.storage.ports import (
    Bytes,
    ConditionFailed,
    Delete,
    Item,
    LazyFile,
    ObjectInfo,
    ObjectNotFound,
    Put,
    Ranges,
    Stores,
    Write,
)
from tests.simulation.memory import MemoryObjects, MemoryTable
from tests.simulation.scheduler import Scheduler, SimulatedLock
from tests.support.faulty import Crash

T = TypeVar("T")

DAY = 86_400.0
_JUMPS = (-8 * DAY, -3_600.0, -90.0, 90.0, 3_600.0, 8 * DAY)


@dataclass(frozen=True, slots=True)
class Rates:
    """The probability of each event at a scheduling point."""

    lost: float = 0.0
    crash: float = 0.0
    jump: float = 0.0
    leap: float = 0.0


@dataclass
class Environment:
    """What all processes share."""

    scheduler: Scheduler
    random: Random
    settings: Settings
    folder: Path
    is_account: bool
    """Stores as in an AWS account: transactions are not cheap, batches of writes are not atomic, nothing excludes a
    second indexer. Otherwise as in a directory."""
    rates: Rates
    table: MemoryTable
    objects: MemoryObjects
    messages: list[tuple[str, str]] = field(default_factory=list)
    jobs: int = 0
    """Indexers at work: in an account they are presumed never to take longer than the grace time."""
    trace: list[str] = field(default_factory=list)
    keep_trace: int = 400

    def __post_init__(self) -> None:
        self._digest = blake2b(digest_size=8)
        self.flush_lock = SimulatedLock(self.scheduler)
        self.compaction_lock = SimulatedLock(self.scheduler)
        self.is_faulty = False

    def note(self, event: str) -> None:
        """Add an event to the trace."""
        line = f"{self.scheduler.steps:6} {self.scheduler.time:.3f} {self.scheduler.actor:<12} {event}"
        self._digest.update(line.encode())
        self.trace.append(line)
        if len(self.trace) > 2 * self.keep_trace:
            del self.trace[: -self.keep_trace]

    def digest(self) -> str:
        """A hash of all events so far: equal for two runs of one seed."""
        return self._digest.hexdigest()

    def happens(self, rate: float) -> bool:
        """Draw whether an event with this probability happens."""
        return self.is_faulty and self.random.random() < rate


class Process:
    """A slot for a process: after each crash another incarnation of it starts.

    `offsets` are the errors of its wall clock so far, in seconds; the last one is the present one.
    """

    def __init__(self, environment: Environment, name: str) -> None:
        self.environment = environment
        self.name = name
        self.offsets = [0.0]
        self._incarnation: Incarnation | None = None
        self._started = 0

    def incarnation(self) -> "Incarnation":
        """The one that runs; started if the last one has died."""
        if self._incarnation is None or self._incarnation.has_ended:
            self._started += 1
            self._incarnation = Incarnation(self, self._started)
        return self._incarnation

    def now(self) -> float:
        """Its wall clock."""
        return self.environment.scheduler.time + self.offsets[-1]

    def jump(self) -> None:
        """Set its wall clock wrong, or right again."""
        random, offset = self.environment.random, self.offsets[-1]
        is_set_right = bool(offset) and random.random() < 0.6
        self.set_clock(0.0 if is_set_right else random.choice([jump for jump in _JUMPS if jump != offset]))

    def set_clock(self, offset: float) -> None:
        """Set its wall clock to the true time plus the offset."""
        if offset != self.offsets[-1]:
            self.offsets.append(offset)
            self.environment.note(f"the clock of {self.name} is now {offset:+.0f} s off")


class Incarnation:
    """A running process."""

    def __init__(self, process: Process, number: int) -> None:
        environment = process.environment
        self.environment = environment
        self.process = process
        self.name = f"{process.name}.{number}"
        self.has_ended = False
        started = environment.scheduler.time
        system = System(
            now=process.now,
            monotonic=lambda: environment.scheduler.time - started,
            sleep=self._sleep,
            random=Random(environment.random.getrandbits(64)),
        )
        self.stores = Stores(
            table=ProcessTable(self),
            objects=ProcessObjects(self),
            queue=ProcessQueue(self),
            settings=environment.settings,
            system=system,
        )
        self.engine = Engine(self.stores)

    def call(self, name: str, apply: Callable[[], T]) -> T:
        """Carry out one call of a port."""
        environment = self.environment
        self.pause()
        if environment.happens(environment.rates.lost):
            environment.note(f"{name} is refused")
            raise Unavailable(f"{name} was refused on purpose")
        environment.note(f"{self.name} {name}")
        try:
            result = apply()
        except (ConditionFailed, ObjectNotFound):
            self._lose_response(name)
            raise
        self._lose_response(name)
        return result

    def _lose_response(self, name: str) -> None:
        self.pause()
        if self.environment.happens(self.environment.rates.lost):
            self.environment.note(f"the response of {name} is lost")
            raise Unavailable(f"the response of {name} was lost on purpose")

    def pause(self) -> None:
        """A scheduling point, at which the process may die."""
        self._check_alive()
        self.environment.scheduler.pause()
        if self.environment.happens(self.environment.rates.crash):
            self.environment.note(f"{self.name} dies")
            self.has_ended = True
        self._check_alive()

    def _check_alive(self) -> None:
        if self.has_ended:
            raise Crash

    def _sleep(self, seconds: float) -> None:
        self.pause()
        self.environment.scheduler.sleep(seconds)


class ProcessTable:
    """The Table port of one process."""

    def __init__(self, process: Incarnation) -> None:
        self._process = process
        self._table = process.environment.table
        self.has_cheap_transactions = not process.environment.is_account

    def time(self) -> float | None:
        environment = self._process.environment
        return environment.scheduler.time if environment.is_account else None

    def change_marker(self) -> int | None:
        if self._process.environment.is_account:
            return None
        return self._process.call("change marker", lambda: self._table.changes)

    def get(self, pk: str, sk: str) -> Item | None:
        return self._process.call(f"get {pk} {sk}", lambda: self._table.get(pk, sk))

    def get_many(self, keys: Sequence[tuple[str, str]]) -> list[Item | None]:
        return self._process.call(f"get {len(keys)}", lambda: [self._table.get(pk, sk) for pk, sk in keys])

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
        put = Put(pk, sk, value, if_absent, if_version, expires_at)
        return self._process.call(f"put {pk} {sk}", lambda: self._table.put(put))

    def put_many(self, puts: Sequence[Put]) -> None:
        if not self._process.environment.is_account:
            self.transact(puts)
            return
        for put in puts:  # any of them may be missing after a crash

            def apply(put: Put = put) -> None:
                self._table.put(put, restarts_version=True)

            self._process.call(f"put one of {len(puts)}: {put.pk} {put.sk}", apply)

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
            return self._table.query(pk, after, before, limit, reverse=reverse)

        return self._process.call(f"query {pk} after {after!r}", apply)

    def delete(self, pk: str, sk: str, *, if_version: int | None = None) -> None:
        self._process.call(f"delete {pk} {sk}", lambda: self._table.delete(Delete(pk, sk, if_version)))

    def transact(self, writes: Sequence[Write]) -> None:
        names = ", ".join(f"{type(write).__name__.lower()} {write.pk} {write.sk}" for write in writes)
        self._process.call(f"transact {names}", lambda: self._table.transact(writes))

    def scrub(self) -> bool:
        return True

    def close(self) -> None:
        pass


class ProcessObjects:
    """The Objects port of one process. The store has a clock of its own."""

    evicts = False

    def __init__(self, process: Incarnation) -> None:
        self._process = process
        self._objects = process.environment.objects

    def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        assert not if_absent, "no caller of these tests needs it"
        content = bytes(data)
        self._process.call(f"put object {key}", lambda: self._objects.put(key, content, self._time()))

    def temporary_path(self, name: str) -> Path:
        return self._objects.new_path()

    def upload(self, key: str, path: Path) -> None:
        content = path.read_bytes()
        self._process.call(f"upload {key}", lambda: self._objects.put(key, content, self._time()))
        path.unlink()

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        def apply() -> bytes:
            data = self._find(key)
            return data[start:] if length is None else data[start : start + length]

        return self._process.call(f"get object {key}", apply)

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self._get_or_none(key) for key in keys]

    def _get_or_none(self, key: str) -> bytes | None:
        try:
            return self.get(key)
        except ObjectNotFound:
            return None

    def prefetch(self, keys: Sequence[str]) -> None:
        pass

    def local_path(self, key: str) -> Path:
        def apply() -> Path:
            self._find(key)
            return self._objects.path(key)

        return self._process.call(f"map object {key}", apply)

    def lazy(self, key: str, size: int) -> LazyFile:
        path = self.local_path(key)
        with path.open("rb") as file:
            return MappedObject(key, size, path, file)

    def need(self, requested: Sequence[tuple[LazyFile, Ranges]]) -> list[Bytes]:
        def apply() -> list[Bytes]:
            return [file.require(ranges) for file, ranges in requested if isinstance(file, MappedObject)]

        return self._process.call(f"need {len(requested)}", apply)

    def reserve_space(self) -> None:
        pass

    def release_space(self) -> bool:
        return False

    def invalidate(self, key: str) -> bool:
        return False

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        def apply() -> list[ObjectInfo]:
            now = self._time() if self._process.environment.is_account else self._process.process.now()
            return [
                ObjectInfo(key, len(found.data), found.modified, now - found.modified)
                for key, found in sorted(self._objects.stored.items())
                if key.startswith(prefix) and key > after
            ]

        return iter(self._process.call(f"list objects {prefix}", apply))

    def delete(self, key: str) -> None:
        self._process.call(f"delete object {key}", lambda: self._objects.delete(key))

    def delete_many(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.delete(key)

    def _find(self, key: str) -> bytes:
        if key not in self._objects.stored:
            raise ObjectNotFound(f"object {key} does not exist")
        return self._objects.stored[key].data

    def _time(self) -> float:
        return self._process.environment.scheduler.time


class ProcessQueue:
    """The Queue port of one process: messages may be delivered twice and in any order."""

    def __init__(self, process: Incarnation) -> None:
        self._process = process

    def send(self, group: str, body: str) -> None:
        self._process.call(f"send {group} {body}", lambda: self._process.environment.messages.append((group, body)))
