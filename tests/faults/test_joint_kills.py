"""`kill -9` at random moments while clients commit in several collections at once: in all of them, or in none.

Flushes, compactions and garbage collection run all the time, as in `tests.faults.test_crash`, whose variables count
here too.
"""

import os
import random
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.clients import RETRYABLE_STATUSES
from tests.faults.test_crash import BUSY_BACKGROUND, _seed
from tests.support.http import ConnectionLost
from tests.support.server import Server, reap, start
from tests.support.wire import Refused, Wire

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

NAMES = ("first", "second", "third")
CLIENTS = 3
ROUNDS = int(os.environ.get("AFTERGLOW_CRASH_ROUNDS", "50")) // 5
CONFLICT = 409

Held = frozenset[str]
"""The collections that have a record."""


@dataclass
class Committer:
    """A client that adds records to several collections at once, moves them and deletes them.

    `records` are those acknowledged; `in_flight` is the record of the commit whose answer was lost, and its collections
    after it.
    """

    number: int
    chance: random.Random
    records: dict[str, Held] = field(default_factory=dict)
    in_flight: tuple[str, Held] | None = None
    commits: int = 0
    failure: str | None = None

    def run(self, server: Server, collections: dict[str, str], stop: threading.Event) -> None:
        """Commit until `stop` is set or the connection is lost."""
        with server.client(timeout=60) as client:
            wire = Wire(client)
            while not stop.is_set():
                name = self._choose()
                before, after = self.records.get(name, frozenset()), self._place()
                self.in_flight = (name, after)
                try:
                    self._commit(wire, collections, name, before, after)
                except ConnectionLost:
                    return
                except Refused as refusal:
                    self.failure = f"client {self.number}: {refusal}"
                    return
                self.records[name], self.in_flight, self.commits = after, None, self.commits + 1

    def _choose(self) -> str:
        if self.records and self.chance.random() < 0.4:
            return self.chance.choice(sorted(self.records))
        return f"c{self.number}-{len(self.records)}"

    def _place(self) -> Held:
        return frozenset(self.chance.sample(NAMES, self.chance.randrange(len(NAMES) + 1)))

    def _commit(self, wire: Wire, collections: dict[str, str], name: str, before: Held, after: Held) -> None:
        text = f"{name} " + "x" * self.chance.choice([0, 10_000])
        written = {"ids": [name], "embeddings": [[1.0, self.number]], "documents": [text]}
        parts: list[dict[str, Any]] = []
        for collection in NAMES:
            operations = []
            if collection in after:
                operations.append({"operation": "upsert", "payload": written})
            elif collection in before:
                operations.append({"operation": "delete", "payload": {"ids": [name]}})
            if operations:
                parts.append({"collection_id": collections[collection], "operations": operations})
        while parts:
            try:
                wire.call("POST", "/conditional/commit", {"collections": parts})
            except Refused as refusal:
                if refusal.status not in {*RETRYABLE_STATUSES, CONFLICT}:
                    raise
            else:
                return


@pytest.mark.parametrize("workers", [1, 2])
def test_a_commit_is_in_all_collections_or_in_none(tmp_path: Path, workers: int) -> None:
    seed = _seed()
    chance = random.Random(f"{seed}-joint")
    survivors: list[psutil.Process] = []
    options = () if workers == 1 else ("--workers", str(workers))
    committers = [Committer(number, random.Random(f"{seed}-{number}")) for number in range(CLIENTS)]
    try:
        for number in range(ROUNDS + 1):
            server = start(tmp_path / "data", options=options, env=BUSY_BACKGROUND)
            try:
                with server.client() as client:
                    wire = Wire(client)
                    collections = {name: wire.create(name) for name in NAMES}
                    _check(wire, collections, committers, f"seed {seed}, round {number}")
                if number < ROUNDS:
                    kill = partial(server.kill, children=chance.random() < 0.6)
                    survivors += _commit_until_killed(server, collections, committers, chance.uniform(0.05, 1.2), kill)
            finally:
                survivors += server.kill(children=False)
            failures = [committer.failure for committer in committers if committer.failure]
            assert not failures, f"seed {seed}, round {number}: {failures}\n{server.printed()}"
    finally:
        reap(survivors)
    assert sum(committer.commits for committer in committers) > ROUNDS


def _commit_until_killed(
    server: Server, collections: dict[str, str], committers: list[Committer], seconds: float, kill: Any
) -> list[psutil.Process]:
    stop = threading.Event()
    threads = [threading.Thread(target=committer.run, args=(server, collections, stop)) for committer in committers]
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    survivors: list[psutil.Process] = kill()
    stop.set()
    for thread in threads:
        thread.join(90)
    return survivors


def _check(wire: Wire, collections: dict[str, str], committers: list[Committer], label: str) -> None:
    """Every acknowledged commit, and each one in flight as a whole or not at all."""
    found: dict[str, set[str]] = {}
    for name, collection in collections.items():
        answer = wire.get(collection, include=["documents"])
        for record, document in zip(answer["ids"], answer["documents"], strict=True):
            assert document.split(" ")[0] == record, label
            assert name not in found.setdefault(record, set()), label
            found[record].add(name)
    for committer in committers:
        if committer.in_flight is not None:
            record, after = committer.in_flight
            held = frozenset(found.get(record, ()))
            assert held in (committer.records.get(record, frozenset()), after), f"{label}: {record} is half there"
            committer.records[record], committer.in_flight = held, None
        for record, expected in committer.records.items():
            assert found.pop(record, set()) == expected, f"{label}: {record}"
    assert not found, label
