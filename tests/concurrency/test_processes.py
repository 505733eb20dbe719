"""Writer and reader processes on two servers with one directory, or on one server with two workers."""

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
FREQUENT_FLUSHES = {
    "AFTERGLOW_FLUSH_OPS": "60",
    "AFTERGLOW_FLUSH_IDLE_SECONDS": "0.2",
    "AFTERGLOW_HNSW_MIN_ROWS": "64",
    "AFTERGLOW_GC_GRACE_SECONDS": "1",
}


@contextmanager
def _two_servers(folder: Path) -> Iterator[list[Server]]:
    with ExitStack() as stack:
        yield [stack.enter_context(running(folder / "data", env=FREQUENT_FLUSHES)) for _ in range(2)]


@contextmanager
def _two_workers(folder: Path) -> Iterator[list[Server]]:
    with running(folder / "data", options=("--workers", "2"), env=FREQUENT_FLUSHES) as server:
        yield [server]


TOPOLOGIES = {"two servers": _two_servers, "two workers": _two_workers}


def _seed() -> str:
    return os.environ.get("AFTERGLOW_CONCURRENCY_SEED") or f"{random.SystemRandom().getrandbits(32):08x}"


def _jobs(servers: Sequence[Server], seed: str, seconds: float) -> list[Job]:
    with servers[0].client() as client:
        wire = Wire(client)
        registers, claims, inserts = (wire.create(name) for name in ("registers", "claims", "inserts"))
    names = tuple(f"w{number}" for number in range(WRITERS))
    everyone = names + tuple(f"r{number}" for number in range(READERS))
    return [
        Job(
            name=name,
            port=servers[index % len(servers)].port,
            seed=f"{seed}-{name}",
            seconds=seconds,
            registers=registers,
            claims=claims,
            inserts=inserts,
            writers=names,
            writes=name in names,
        )
        for index, name in enumerate(everyone)
    ]


def _final_reads(server: Server, jobs: Sequence[Job]) -> list[Event]:
    """Every register and the whole list, read at the end: a lost write is visible here at the latest."""
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
    problems = violations(events)
    assert not problems, f"seed {seed}: {len(problems)} violations\n" + "\n".join(problems[:10])
    writes = [event for event in events if isinstance(event, Write | Insert)]
    assert len(writes) > 10, f"only {len(writes)} writes were made"


def run_clients(servers: Sequence[Server], seconds: float) -> None:
    """Run writers and readers against the servers for a while, and check the history."""
    seed = _seed()
    jobs = _jobs(servers, seed, seconds)
    with ProcessPoolExecutor(len(jobs), mp_context=get_context("spawn")) as pool:
        events = [event for history in pool.map(work, jobs) for event in history]
    _check([*events, *_final_reads(servers[-1], jobs)], seed)


@pytest.mark.slow
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_read_sees_every_acknowledged_write(tmp_path: Path, topology: str) -> None:
    """A short run."""
    with TOPOLOGIES[topology](tmp_path) as servers:
        run_clients(servers, seconds=4)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_for_longer(tmp_path: Path, topology: str) -> None:
    """Long enough for many flushes and compactions."""
    with TOPOLOGIES[topology](tmp_path) as servers:
        run_clients(servers, seconds=60)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_of_two_servers_is_killed(tmp_path: Path) -> None:
    """The survivor's clients are not affected; all acknowledged writes of the killed server are there."""
    seed = _seed()
    victim = start(tmp_path / "data", env=FREQUENT_FLUSHES)
    try:
        with running(tmp_path / "data", env=FREQUENT_FLUSHES) as survivor:
            jobs = [
                Job(
                    **{
                        **{field: getattr(job, field) for field in Job.__slots__},
                        "may_lose_server": job.port == victim.port,
                    }
                )
                for job in _jobs([victim, survivor], seed, 15)
            ]
            with ProcessPoolExecutor(len(jobs), mp_context=get_context("spawn")) as pool:
                histories = [pool.submit(work, job) for job in jobs]
                with pytest.raises(TimeoutError):
                    histories[1].result(timeout=7)
                victim.kill()
                events = [event for history in histories for event in history.result()]
            _check([*events, *_final_reads(survivor, jobs)], seed)
    finally:
        victim.kill()
