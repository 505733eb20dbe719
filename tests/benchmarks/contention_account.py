"""Writers that compete for one log on MiniStack: the real write path beside the simulation of `contention`.

``python -m tests.benchmarks.contention_account --writers 64``. Each writer is a container of its own, with clients and
settings of its own, in a thread of this process; all of them and MiniStack share this machine, so times are longer than
in an account. Refused puts an append are what the protocol makes of it.
"""

import argparse
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np

from afterglow.aws_lambda.engine import open_engine
from afterglow.catalog import schema
from afterglow.collection import Engine
from afterglow.collection.types import Scope
from afterglow.deployment.aws import open_aws
from afterglow.errors import Busy
from afterglow.log.batch import Batch, Op
from afterglow.metering import collect_usage
from afterglow.settings import LAMBDA_DEFAULTS, System
from tests.benchmarks.contention import Result
from tests.support.aws import Made, make
from tests.support.ministack import fresh_account, ministack


class Writers:
    """What the writers of one collection have done since `begin`."""

    def __init__(self, made: Made, folder: Path, writers: int) -> None:
        self.engines = [_container(made, folder / str(number)) for number in range(writers)]
        stored = schema.reconcile(None, None, None)
        made_collection = self.engines[0].create_collection("default_tenant", "default_database", "raced", None, stored)
        self.scope = Scope("default_tenant", "default_database", made_collection.id)
        self.lock = threading.Lock()
        self.seconds: list[float] = []
        self.puts = self.given_up = 0
        self.end = 0.0

    def write(self, writer: int) -> None:
        """Write one record after the other until the end."""
        vector = np.ones((1, 8), dtype=np.float32)
        number = 0
        while time.monotonic() < self.end:
            began, number = time.monotonic(), number + 1
            with collect_usage() as usage:
                try:
                    self.engines[writer].write(self.scope, Batch(Op.ADD, [f"{writer}-{number}"], vector))
                    done = True
                except Busy:
                    done = False
            with self.lock:
                self.puts += usage.calls.get("dynamodb.PutItem", 0)
                self.given_up += not done
                if done:
                    self.seconds.append(time.monotonic() - began)


def _container(made: Made, folder: Path) -> Engine:
    settings = made.settings(LAMBDA_DEFAULTS, folder)
    return open_engine(open_aws(settings, System()), settings, System())


def measure(writers: int, seconds: float) -> tuple[Result, int]:
    """What so many writers reach in this time, and the writes that got 429."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ministack() as emulator,
        mock.patch.dict("os.environ", emulator.environment(fresh_account())),
    ):
        race = Writers(make(), Path(folder), writers)
        race.end = time.monotonic() + seconds
        with ThreadPoolExecutor(writers) as pool:
            list(pool.map(race.write, range(writers)))
        for engine in race.engines:
            engine.close()
    times = sorted(race.seconds)
    refused = (race.puts - len(times)) / len(times)
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    return Result(writers, len(times) / seconds, refused, p50, p99), race.given_up


def main() -> None:
    """Run it and print one row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    result, given_up = measure(options.writers, options.seconds)
    print(
        f"{result.writers} writers: {result.appends_per_second:.0f} appends a second, {result.refused:.1f} refused "
        f"puts an append, p50 {result.p50 * 1000:.0f} ms, p99 {result.p99 * 1000:,.0f} ms, {given_up} writes given up"
    )


if __name__ == "__main__":
    main()
