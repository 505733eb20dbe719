"""Writers that compete for one log: a simulation of the write path on DynamoDB.

``python -m tests.benchmarks.contention`` prints the table of docs/aws.md. Each writer sends the next write as soon as
one is acknowledged, from a process of its own. A put takes 5 ms and a read 4 ms in the mean (at least 60 % of that, the
rest exponential; half of it each way), and a put succeeds if it arrives with the number after the log's end. The pauses
are the library's own, `retry.contended_pause`.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from afterglow.retry import contended_pause

PUT_SECONDS, READ_SECONDS = 0.005, 0.004
Step = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Result:
    """Of one simulation: appends a second, refused puts and reads for each append, seconds of a write."""

    writers: int
    appends_per_second: float
    refused: float
    p50: float
    p99: float


@dataclass
class _Log:
    """The log and the queue of events."""

    random: random.Random
    slowness: float = 1.0
    end: int = 0
    refused: int = 0
    seconds: list[float] = field(default_factory=list)
    events: list[tuple[float, int, Step]] = field(default_factory=list)
    order: "itertools.count[int]" = field(default_factory=itertools.count)

    def at(self, time: float, step: Step) -> None:
        heapq.heappush(self.events, (time, next(self.order), step))

    def latency(self, mean: float) -> float:
        return mean * self.slowness * (0.6 + self.random.expovariate(1 / 0.4))


class _Writer:
    def __init__(self, log: _Log) -> None:
        self.log = log
        self.known_end = self.attempts = 0
        self.started = self.began = self.busy = 0.0
        log.at(log.random.random() * 0.05, self.start)

    def start(self, now: float) -> None:
        self.started, self.busy, self.attempts = now, 0.0, 0
        self.attempt(now)

    def attempt(self, now: float) -> None:
        self.began, self.attempts = now, self.attempts + 1
        self.put(now)

    def put(self, now: float) -> None:
        half = self.log.latency(PUT_SECONDS) / 2

        def arrive(then: float) -> None:
            succeeds = self.log.end == self.known_end
            self.log.end += succeeds
            self.log.at(then + half, self.succeed if succeeds else self.fail)

        self.log.at(now + half, arrive)

    def succeed(self, now: float) -> None:
        self.known_end += 1
        self.log.seconds.append(now - self.started)
        self.start(now)

    def fail(self, now: float) -> None:
        self.log.refused += 1
        self.busy += now - self.began
        pause = contended_pause(self.attempts, now - self.started, self.busy / self.attempts)
        self.log.at(now + pause * self.log.random.random(), self.read)

    def read(self, now: float) -> None:
        half = self.log.latency(READ_SECONDS) / 2
        self.began, self.attempts = now, self.attempts + 1

        def arrive(then: float) -> None:
            self.known_end = self.log.end
            self.log.at(then + half, self.put)

        self.log.at(now + half, arrive)


def simulate(writers: int, seconds: float = 20.0, seed: int = 1, slowness: float = 1.0) -> Result:
    """What so many writers reach; every put and read takes `slowness` times as long."""
    log = _Log(random.Random(seed), slowness)
    for _ in range(writers):
        _Writer(log)
    while log.events[0][0] < seconds:
        now, _, step = heapq.heappop(log.events)
        step(now)
    times = sorted(log.seconds)
    return Result(
        writers=writers,
        appends_per_second=len(times) / seconds,
        refused=log.refused / len(times),
        p50=times[len(times) // 2],
        p99=times[len(times) * 99 // 100],
    )


def table() -> str:
    """The table of docs/aws.md."""
    lines = ["| writers of one collection | appends a second | refused puts an append | ms, median | ms, p99 |"]
    lines.append("|--:|--:|--:|--:|--:|")
    lines += [
        f"| {result.writers} | {result.appends_per_second:.0f} | {result.refused:.1f} | {result.p50 * 1000:.0f} "
        f"| {result.p99 * 1000:,.0f} |"
        for result in map(simulate, (1, 4, 16, 64, 256))
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table())
