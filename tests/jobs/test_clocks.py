"""A wall clock that jumps stops no background work: waiting goes by monotonic time."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.types import Scope
from afterglow.deployment.local import open_local
from afterglow.jobs.start import start_engine
from afterglow.log.batch import Batch, Op
from afterglow.settings import Settings, System
from tests.support.stores import new_collection

HOUR = 3600.0


class WallClock:
    """The time of day, which somebody sets."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        return time.time() + self.offset


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
def engine(folder: Path, clock: WallClock) -> Iterator[Engine]:
    system = System(now=clock.now)
    running = start_engine(open_local(folder, system), Settings(flush_idle_seconds=0.2, gc_grace_seconds=1.0), system)
    yield running
    running.close()


def add(engine: Engine, scope: Scope, name: str) -> None:
    engine.write(scope, Batch(Op.ADD, [name], np.ones((1, 2), dtype=np.float32)))


def wait_until_indexed(engine: Engine, scope: Scope, seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while time.monotonic() < deadline:
        status = engine.indexing_status(scope)
        if status.total_ops and status.indexed_ops == status.total_ops:
            return True
        pause.wait(0.05)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("jump", [-HOUR, HOUR, -8 * 24 * HOUR, 8 * 24 * HOUR])
def test_flushes_go_on_after_a_jump(engine: Engine, clock: WallClock, jump: float) -> None:
    scope, _ = new_collection(engine.stores)
    add(engine, scope, "before")
    assert wait_until_indexed(engine, scope)
    clock.offset = jump
    add(engine, scope, "after")
    assert wait_until_indexed(engine, scope)
    clock.offset = 0.0
    add(engine, scope, "set right")
    assert wait_until_indexed(engine, scope)
    assert engine.count(scope).count == 3
