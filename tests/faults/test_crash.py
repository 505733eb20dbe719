"""`kill -9` at a random time during random writes: acknowledged writes survive, in-flight writes are atomic.

The rounds of one scenario share a directory, so the next crash meets the leftovers of the last. Flushes, compactions
and batches stored as objects happen all the time, because their thresholds are low. A failure names the seed;
AFTERGLOW_CRASH_SEED replays its operations (the times of the kills still depend on the machine). AFTERGLOW_CRASH_ROUNDS
is the number of rounds of the slow tests together (50).
"""

import os
import random
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.faults.clients import Writer, write_until_killed
from tests.faults.model import DIMENSION, Scenario, difference, parse_records
from tests.support.server import Server, reap, start
from tests.support.wire import Wire

CLIENTS = 4
_PARTS = 5
COLLECTIONS = ("first", "second")
EVERYTHING = ["embeddings", "documents", "metadatas"]
BUSY_BACKGROUND = {
    "AFTERGLOW_FLUSH_OPS": "40",
    "AFTERGLOW_FLUSH_IDLE_SECONDS": "0.1",
    "AFTERGLOW_HNSW_MIN_ROWS": "64",
    "AFTERGLOW_LOG_INLINE_MAX_BYTES": "4096",
    "AFTERGLOW_GC_GRACE_SECONDS": "1",
}


def _seed() -> str:
    return os.environ.get("AFTERGLOW_CRASH_SEED") or f"{random.SystemRandom().getrandbits(32):08x}"


class CrashScenario:
    """Rounds of crashes on one data directory."""

    def __init__(self, folder: Path, seed: str, workers: int) -> None:
        self.folder, self.seed = folder / "data", seed
        self._options = () if workers == 1 else ("--workers", str(workers))
        self._random = random.Random(f"{seed}-moments")
        self._writers: list[Writer] = []
        self._collections: dict[str, str] = {}
        self._survivors: list[psutil.Process] = []

    def run(self, rounds: int) -> None:
        """Start, check, write, kill, `rounds` times; a last check at the end."""
        try:
            self._run(rounds)
        finally:
            reap(self._survivors)

    def _kill(self, server: Server, everything: bool) -> None:
        """With `everything`, as in a power cut; else a background process may survive and meet the next server."""
        self._survivors += server.kill(children=everything)

    def _run(self, rounds: int) -> None:
        acknowledged = 0
        for number in range(rounds):
            server = self._start()
            try:
                self._check(server)
                self._prepare(server, number)
                seconds, everything = self._random.uniform(0.05, 1.2), self._random.random() < 0.6
                write_until_killed(server, self._writers, seconds, partial(self._kill, server, everything))
            finally:
                self._kill(server, everything=False)
            for writer in self._writers:
                problem = f"seed {self.seed}, round {number}: {writer.failure}\n{server.printed()}"
                assert writer.failure is None, problem
                acknowledged += writer.acknowledged
        server = self._start()
        try:
            self._check(server)
        finally:
            server.stop()
        assert acknowledged > rounds, f"only {acknowledged} acknowledged writes in {rounds} rounds"

    def _start(self) -> Server:
        return start(self.folder, options=self._options, env=BUSY_BACKGROUND)

    def _prepare(self, server: Server, number: int) -> None:
        with server.client() as client:
            wire = Wire(client)
            self._collections = {name: wire.create(name) for name in COLLECTIONS}
        records = {writer.scenario.client: writer.scenario.records for writer in self._writers}
        self._writers = [
            Writer(
                Scenario(client, f"{self.seed}-{number}-{client}", records=records.get(client, {})),
                self._collections[COLLECTIONS[client % len(COLLECTIONS)]],
            )
            for client in range(CLIENTS)
        ]

    def _check(self, server: Server) -> None:
        with server.client() as client:
            wire = Wire(client)
            for name, collection in self._collections.items():
                writers = [writer for writer in self._writers if writer.collection == collection]
                self._check_collection(wire, name, collection, writers)

    def _check_collection(self, wire: Wire, name: str, collection: str, writers: list[Writer]) -> None:
        everything = parse_records(wire.get(collection, include=EVERYTHING))
        for writer in writers:
            client = writer.scenario.client
            actual = {key: record for key, record in everything.items() if key.startswith(f"c{client}-")}
            differences = [difference(f"client {client} in {name}", possible, actual) for possible in writer.possible()]
            assert "" in differences, f"seed {self.seed}\n" + "\n--- or else ---\n".join(differences)
            writer.scenario.records = actual
            writer.in_flight = None
        expected = sum(len(writer.scenario.records) for writer in writers)
        assert len(everything) == expected, (
            f"seed {self.seed}: {len(everything) - expected} unexpected records in {name}"
        )
        assert wire.count(collection) == expected, f"seed {self.seed}: count of {name} is not {expected}"
        if expected:
            response = wire.query(collection, [[0.5] * DIMENSION], n_results=expected + 5)
            nearest = {key: sum((value - 0.5) ** 2 for value in record.embedding) for key, record in everything.items()}
            assert sorted(response["ids"][0]) == sorted(everything), f"seed {self.seed}: a query of {name} misses some"
            assert response["distances"][0] == pytest.approx(sorted(nearest.values()), rel=1e-5), f"seed {self.seed}"
            assert response["distances"][0] == pytest.approx([nearest[key] for key in response["ids"][0]], rel=1e-5)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """A few rounds: the default run."""
    CrashScenario(tmp_path, _seed(), workers=1).run(rounds=4)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_with_two_workers(tmp_path: Path) -> None:
    """A few rounds with two processes on the directory."""
    CrashScenario(tmp_path, _seed(), workers=2).run(rounds=2)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.parametrize("workers", [1, 2])
def test_many_rounds(tmp_path: Path, workers: int, part: int) -> None:
    """Fifty in all, or as many as asked for, five on each directory."""
    rounds = int(os.environ.get("AFTERGLOW_CRASH_ROUNDS", "50")) // (2 * _PARTS)
    seed = _seed()
    for number in range(max(rounds // 5, 1)):
        CrashScenario(tmp_path / str(number), f"{seed}-{part}-{number}", workers).run(rounds=5)
