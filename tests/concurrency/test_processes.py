"""Writers and readers in processes of their own, on two servers of one directory, or on one server with two workers."""

import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.concurrency.clients import REGISTERS, Job, work
from tests.concurrency.history import Event, Insert, Listing, Read, Write, violations
from tests.support.server import Server, running, start
from tests.support.wire import Wire

WRITERS, READERS = 3, 2
SOMETIMES_FOLDED = {
    "AFTERGLOW_FLUSH_OPS": "60",
    "AFTERGLOW_FLUSH_IDLE_SECONDS": "0.2",
    "AFTERGLOW_HNSW_MIN_ROWS": "64",
    "AFTERGLOW_GC_GRACE_SECONDS": "1",
}


@contextmanager
def _two_servers(folder: Path) -> Iterator[list[Server]]:
    with ExitStack() as stack:
        yield [stack.enter_context(running(folder / "data", env=SOMETIMES_FOLDED)) for _ in range(2)]


@contextmanager
def _two_workers(folder: Path) -> Iterator[list[Server]]:
    with running(folder / "data", options=("--workers", "2"), env=SOMETIMES_FOLDED) as server:
        yield [server]


TOPOLOGIES = {"two servers": _two_servers, "two workers": _two_workers}


def _seed() -> str:
    return os.environ.get("AFTERGLOW_CONCURRENCY_SEED") or f"{random.SystemRandom().getrandbits(32):08x}"


def _jobs(servers: Sequence[Server], seed: str, seconds: float) -> list[Job]:
    with servers[0].client() as client:
        wire = Wire(client)
        registers, claims, inserts = (wire.create(each) for each in ("registers", "claims", "inserts"))
    names = tuple(f"w{each}" for each in range(WRITERS))
    everyone = names + tuple(f"r{each}" for each in range(READERS))
    return [
        Job(
            name=name,
            port=servers[place % len(servers)].port,
            seed=f"{seed}-{name}",
            seconds=seconds,
            registers=registers,
            claims=claims,
            inserts=inserts,
            writers=names,
            writes=name in names,
        )
        for place, name in enumerate(everyone)
    ]


def _last_look(server: Server, jobs: Sequence[Job]) -> list[Event]:
    """Every register and the whole list, read when all is over: what was lost shows here at the latest."""
    final = Job(**{**{field: getattr(jobs[0], field) for field in Job.__slots__}, "name": "last", "port": server.port})
    with server.client() as client:
        wire = Wire(client)
        events: list[Event] = []
        everything = wire.get(final.registers, include=["metadatas"])
        versions = {
            key: metadata["version"] for key, metadata in zip(everything["ids"], everything["metadatas"], strict=True)
        }
        listing = tuple(wire.get(final.inserts, include=[])["ids"])
        later = float("inf")
        for writer in final.writers:
            for number in range(REGISTERS):
                key = f"{writer}-{number}"
                events.append(Read("last", key, versions.get(key), later, later))
        events.append(Listing("last", listing, later, later))
    return events


def _check(events: Sequence[Event], seed: str) -> None:
    found = violations(events)
    assert not found, f"seed {seed}: {len(found)} violations\n" + "\n".join(found[:10])
    writes = [each for each in events if isinstance(each, Write | Insert)]
    assert len(writes) > 10, f"only {len(writes)} writes were made"


def play(servers: Sequence[Server], seconds: float) -> None:
    """Let writers and readers at the servers for a while, and look for anything that must not be."""
    seed = _seed()
    jobs = _jobs(servers, seed, seconds)
    with ProcessPoolExecutor(len(jobs), mp_context=get_context("spawn")) as pool:
        events = [each for history in pool.map(work, jobs) for each in history]
    _check([*events, *_last_look(servers[-1], jobs)], seed)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_read_sees_every_acknowledged_write(tmp_path: Path, topology: str) -> None:
    """A few seconds of it."""
    with TOPOLOGIES[topology](tmp_path) as servers:
        play(servers, seconds=4)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_for_longer(tmp_path: Path, topology: str) -> None:
    """Long enough for many folds and compactions."""
    with TOPOLOGIES[topology](tmp_path) as servers:
        play(servers, seconds=60)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_of_two_servers_is_killed(tmp_path: Path) -> None:
    """The clients of the one that lives notice nothing; what the dead one acknowledged is there."""
    seed = _seed()
    doomed = start(tmp_path / "data", env=SOMETIMES_FOLDED)
    try:
        with running(tmp_path / "data", env=SOMETIMES_FOLDED) as survivor:
            jobs = [
                Job(
                    **{
                        **{field: getattr(job, field) for field in Job.__slots__},
                        "may_lose_server": job.port == doomed.port,
                    }
                )
                for job in _jobs([doomed, survivor], seed, 15)
            ]
            with ProcessPoolExecutor(len(jobs), mp_context=get_context("spawn")) as pool:
                histories = [pool.submit(work, job) for job in jobs]
                with pytest.raises(TimeoutError):
                    histories[1].result(timeout=7)
                doomed.kill()
                events = [each for history in histories for each in history.result()]
            _check([*events, *_last_look(survivor, jobs)], seed)
    finally:
        doomed.kill()
