"""The client processes: each runs a seeded loop against one server and hands back its history.

Every process is started anew (not forked), talks over one bare connection, and ends at its deadline.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.concurrency.history import Claim, Event, Insert, Listing, Read, Sight, Write
from tests.support.http import BareClient, ConnectionLost
from tests.support.server import HOST
from tests.support.wire import Refused, Wire

REGISTERS = 6
"""Keys that every process writes, each on its own: a writer's key carries the writer's name."""
CLAIMS = 400
LISTED = 0.03
"""Share of listings: they grow long."""
BUSY = 429


@dataclass(frozen=True, slots=True)
class Job:
    """What one process does: for how long, against which port, on which collections."""

    name: str
    port: int
    seed: str
    seconds: float
    registers: str
    claims: str
    inserts: str
    writers: tuple[str, ...]
    writes: bool
    may_lose_server: bool = False


def work(job: Job) -> list[Event]:
    """The whole life of one client process."""
    with BareClient(HOST, job.port, 60) as client:
        worker = _Worker(job, Wire(client))
        deadline = time.monotonic() + job.seconds
        try:
            while time.monotonic() < deadline:
                worker.step()
        except ConnectionLost:
            if not job.may_lose_server:
                raise
        return worker.events


class _Worker:
    def __init__(self, job: Job, wire: Wire) -> None:
        self._job, self._wire = job, wire
        self._random = random.Random(job.seed)
        self._versions: dict[str, int] = {}
        self._made = 0
        self.events: list[Event] = []

    def step(self) -> None:
        """One call, by chance; readers only read."""
        reading: list[Callable[[], None]] = [self._read, self._read, self._read, self._look]
        writing: list[Callable[[], None]] = [self._write, self._write, self._claim, self._insert, self._insert]
        if self._random.random() < LISTED:
            self._list()
        else:
            self._random.choice(reading + writing if self._job.writes else reading)()

    def _timed(self, call: Callable[[], object]) -> tuple[float, float | None]:
        """When the call began and ended. A 429 is no answer that anything rests on: it is tried again."""
        began = time.monotonic()
        while True:
            try:
                call()
            except ConnectionLost:
                return began, None
            except Refused as refusal:
                if refusal.status != BUSY:
                    raise
                time.sleep(0.05)
            else:
                return began, time.monotonic()

    def _write(self) -> None:
        key = f"{self._job.name}-{self._random.randrange(REGISTERS)}"
        version = self._versions[key] = self._versions.get(key, 0) + 1
        body = {
            "ids": [key],
            "embeddings": [[float(version), 0.0]],
            "metadatas": [{"version": version}],
            "documents": [f"version {version}"],
        }
        began, ended = self._timed(lambda: self._wire.write(self._job.registers, "upsert", body))
        self.events.append(Write(self._job.name, key, version, began, ended))
        if ended is None:
            raise ConnectionLost("during a write")

    def _claim(self) -> None:
        key = f"claim-{self._random.randrange(CLAIMS)}"
        token = f"{self._job.name}-{self._random.getrandbits(48):x}"
        body = {"ids": [key], "embeddings": [[1.0]], "documents": [token]}
        began, ended = self._timed(lambda: self._wire.write(self._job.claims, "add", body))
        self.events.append(Claim(self._job.name, key, token, began, ended))
        if ended is None:
            raise ConnectionLost("during a claim")

    def _insert(self) -> None:
        self._made += 1
        key = f"{self._job.name}-{self._made}"
        body = {"ids": [key], "embeddings": [[float(self._made)]]}
        began, ended = self._timed(lambda: self._wire.write(self._job.inserts, "add", body))
        self.events.append(Insert(self._job.name, key, began, ended))
        if ended is None:
            raise ConnectionLost("during an insert")

    def _read(self) -> None:
        key = f"{self._random.choice(self._job.writers)}-{self._random.randrange(REGISTERS)}"
        began = time.monotonic()
        by_filter = self._random.random() < 0.3
        selection = {"where": {"version": {"$gte": 0}}, "ids": [key]} if by_filter else {"ids": [key]}
        answer = self._wire.get(self._job.registers, include=["metadatas", "documents", "embeddings"], **selection)
        ended = time.monotonic()
        version = answer["metadatas"][0]["version"] if answer["ids"] else None
        if version is not None:
            # The three parts of a record were written together: a mixture would be a torn read.
            assert answer["documents"][0] == f"version {version}", answer
            assert answer["embeddings"][0][0] == version, answer
        self.events.append(Read(self._job.name, key, version, began, ended))

    def _look(self) -> None:
        key = f"claim-{self._random.randrange(CLAIMS)}"
        began = time.monotonic()
        answer = self._wire.get(self._job.claims, ids=[key])
        token = answer["documents"][0] if answer["ids"] else None
        self.events.append(Sight(self._job.name, key, token, began, time.monotonic()))

    def _list(self) -> None:
        began = time.monotonic()
        answer = self._wire.get(self._job.inserts, include=[])
        self.events.append(Listing(self._job.name, tuple(answer["ids"]), began, time.monotonic()))
