"""`kill -9` at a random moment of random writes: the acknowledged is there, what was in flight whole or not at all.

Rounds of one story share a directory, so that what one crash leaves behind meets the next. Folds, compactions and
batches kept as objects happen all the time, as their thresholds are set low. A failure names the seed;
AFTERGLOW_CRASH_SEED replays its programmes (the moments of the kills remain the machine's).
"""

import os
import random
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.faults.clients import Writer, write_until_killed
from tests.faults.model import DIMENSION, Programme, difference, read_book
from tests.support.server import Server, reap, start
from tests.support.wire import Wire

CLIENTS = 4
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


class Story:
    """Rounds of crashes on one directory."""

    def __init__(self, folder: Path, seed: str, workers: int) -> None:
        self.folder, self.seed = folder / "data", seed
        self._options = () if workers == 1 else ("--workers", str(workers))
        self._random = random.Random(f"{seed}-moments")
        self._writers: list[Writer] = []
        self._collections: dict[str, str] = {}
        self._left: list[psutil.Process] = []

    def play(self, rounds: int) -> None:
        """Start, check, write, kill, again and again; a last check at the end."""
        try:
            self._play(rounds)
        finally:
            reap(self._left)

    def _kill(self, server: Server, everything: bool) -> None:
        """A power cut kills everything; else a process in the background may live on, and meets the next server."""
        self._left += server.kill(children=everything)

    def _play(self, rounds: int) -> None:
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
            for each in self._writers:
                assert each.failure is None, f"seed {self.seed}, round {number}: {each.failure}\n{server.printed()}"
                acknowledged += each.acknowledged
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
        books = {each.programme.client: each.programme.book for each in self._writers}
        self._writers = [
            Writer(
                Programme(client, f"{self.seed}-{number}-{client}", book=books.get(client, {})),
                self._collections[COLLECTIONS[client % len(COLLECTIONS)]],
            )
            for client in range(CLIENTS)
        ]

    def _check(self, server: Server) -> None:
        with server.client() as client:
            wire = Wire(client)
            for name, collection in self._collections.items():
                writers = [each for each in self._writers if each.collection == collection]
                self._check_collection(wire, name, collection, writers)

    def _check_collection(self, wire: Wire, name: str, collection: str, writers: list[Writer]) -> None:
        everything = read_book(wire.get(collection, include=EVERYTHING))
        for writer in writers:
            client = writer.programme.client
            found = {key: record for key, record in everything.items() if key.startswith(f"c{client}-")}
            differences = [difference(f"client {client} in {name}", possible, found) for possible in writer.possible()]
            assert "" in differences, f"seed {self.seed}\n" + "\n--- or else ---\n".join(differences)
            writer.programme.book = found
            writer.in_flight = None
        known = sum(len(each.programme.book) for each in writers)
        assert len(everything) == known, f"seed {self.seed}: {len(everything) - known} records of nobody in {name}"
        assert wire.count(collection) == known, f"seed {self.seed}: count of {name} is not {known}"
        if known:
            answer = wire.query(collection, [[0.5] * DIMENSION], n_results=known + 5)
            nearest = {key: sum((value - 0.5) ** 2 for value in record.embedding) for key, record in everything.items()}
            assert sorted(answer["ids"][0]) == sorted(everything), f"seed {self.seed}: a query of {name} misses records"
            assert answer["distances"][0] == pytest.approx(sorted(nearest.values()), rel=1e-5), f"seed {self.seed}"
            assert answer["distances"][0] == pytest.approx([nearest[key] for key in answer["ids"][0]], rel=1e-5)


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """A short story: the default run."""
    Story(tmp_path, _seed(), workers=1).play(rounds=4)


def test_nothing_acknowledged_is_lost_with_two_workers(tmp_path: Path) -> None:
    """A short story with two processes on the directory."""
    Story(tmp_path, _seed(), workers=2).play(rounds=2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("workers", [1, 2])
def test_fifty_rounds(tmp_path: Path, workers: int) -> None:
    """Ten stories of five rounds each."""
    seed = _seed()
    for story in range(10):
        Story(tmp_path / str(story), f"{seed}-{story}", workers).play(rounds=5)
