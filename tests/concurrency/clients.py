"""The client processes: each runs a seeded loop against one server and returns its history.

Every process is spawned (not forked), uses one bare connection, and ends at its deadline.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.concurrency.history import Claim, Event, Insert, Listing, Observation, Read, Write
from tests.support.http import BareClient, ConnectionLost
from tests.support.server import HOST
from tests.support.wire import Refused, Wire

REGISTERS = 6
"""Number of keys per writer; no two processes write the same key."""
CLAIMS = 400
LISTED = 0.03
"""Share of list operations, small because their responses grow."""
BUSY = 429


@dataclass(frozen=True, slots=True)
class Job:
    """The task of one process: duration in seconds, server port, collections."""

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
    """Run one client process to its end."""
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
        self._inserted = 0
        self.events: list[Event] = []

    def step(self) -> None:
        """One random operation; readers only read."""
        reading: list[Callable[[], None]] = [self._read, self._read, self._read, self._observe]
        writing: list[Callable[[], None]] = [self._write, self._write, self._claim, self._insert, self._insert]
        if self._random.random() < LISTED:
            self._list()
        else:
            self._random.choice(reading + writing if self._job.writes else reading)()

    def _timed(self, request: Callable[[], object]) -> tuple[float, float | None]:
        """When the request started and ended (None: no response). A request is retried after 429."""
        started = time.monotonic()
        while True:
            try:
                request()
            except ConnectionLost:
                return started, None
            except Refused as refusal:
                if refusal.status != BUSY:
                    raise
                time.sleep(0.05)
            else:
                return started, time.monotonic()

    def _write(self) -> None:
        key = f"{self._job.name}-{self._random.randrange(REGISTERS)}"
        version = self._versions[key] = self._versions.get(key, 0) + 1
        body = {
            "ids": [key],
            "embeddings": [[float(version), 0.0]],
            "metadatas": [{"version": version}],
            "documents": [f"version {version}"],
        }
        started, ended = self._timed(lambda: self._wire.write(self._job.registers, "upsert", body))
        self.events.append(Write(self._job.name, key, version, started, ended))
        if ended is None:
            raise ConnectionLost("during a write")

    def _claim(self) -> None:
        key = f"claim-{self._random.randrange(CLAIMS)}"
        token = f"{self._job.name}-{self._random.getrandbits(48):x}"
        body = {"ids": [key], "embeddings": [[1.0]], "documents": [token]}
        started, ended = self._timed(lambda: self._wire.write(self._job.claims, "add", body))
        self.events.append(Claim(self._job.name, key, token, started, ended))
        if ended is None:
            raise ConnectionLost("during a claim")

    def _insert(self) -> None:
        self._inserted += 1
        key = f"{self._job.name}-{self._inserted}"
        body = {"ids": [key], "embeddings": [[float(self._inserted)]]}
        started, ended = self._timed(lambda: self._wire.write(self._job.inserts, "add", body))
        self.events.append(Insert(self._job.name, key, started, ended))
        if ended is None:
            raise ConnectionLost("during an insert")

    def _read(self) -> None:
        key = f"{self._random.choice(self._job.writers)}-{self._random.randrange(REGISTERS)}"
        started = time.monotonic()
        by_filter = self._random.random() < 0.3
        selection = {"where": {"version": {"$gte": 0}}, "ids": [key]} if by_filter else {"ids": [key]}
        response = self._wire.get(self._job.registers, include=["metadatas", "documents", "embeddings"], **selection)
        ended = time.monotonic()
        version = response["metadatas"][0]["version"] if response["ids"] else None
        if version is not None:
            # The three fields of a record were written together: a mixture would be a torn read.
            assert response["documents"][0] == f"version {version}", response
            assert response["embeddings"][0][0] == version, response
        self.events.append(Read(self._job.name, key, version, started, ended))

    def _observe(self) -> None:
        key = f"claim-{self._random.randrange(CLAIMS)}"
        started = time.monotonic()
        response = self._wire.get(self._job.claims, ids=[key])
        token = response["documents"][0] if response["ids"] else None
        self.events.append(Observation(self._job.name, key, token, started, time.monotonic()))

    def _list(self) -> None:
        started = time.monotonic()
        response = self._wire.get(self._job.inserts, include=[])
        self.events.append(Listing(self._job.name, tuple(response["ids"]), started, time.monotonic()))
