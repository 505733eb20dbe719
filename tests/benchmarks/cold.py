"""What a container without a cache takes to answer: milliseconds, bytes, requests, rounds, recall.

The rows are loaded and indexed in an emulated account whose S3 has the latency of the real one
(`tests.support.emulator`). For each run a fresh process of the API function with an empty cache is started and asked
once. Rounds are the periods during which requests are in flight. Held-out queries; recall is tie-aware. Then 50
containers ask at once.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.cold_account import FIFTHS, PARTS, Account, Container, account, container
from tests.benchmarks.cold_rows import RowMaker, Truth
from tests.support.emulator.weather import LAMBDA

K = 10
QUERIES = 200


@dataclass(frozen=True)
class Question:
    """An operation: the request of run `number`, and the rows that its filter allows."""

    name: str
    request: Callable[[int], tuple[str, str, Any]]
    mask: NDArray[np.bool_] | None = None
    has_recall: bool = False


@dataclass(frozen=True)
class Answer:
    """One run."""

    ms: float
    cpu_ms: float
    start_cpu_ms: float
    bytes: int
    requests: int
    rounds: int
    recall: float | None


@dataclass(frozen=True)
class Row:
    """All runs of a question: medians, the 90th percentile of the time, the mean recall."""

    name: str
    p50_ms: float
    p90_ms: float
    cpu_ms: float
    start_cpu_ms: float
    megabytes: float
    requests: int
    rounds: int
    recall: float | None


def questions(account: Account, queries: NDArray[np.float32], rows: int) -> list[Question]:
    """What each container is asked."""
    include = ["documents", "metadatas", "distances"]
    numbers = np.arange(rows)

    def query(number: int, where: dict[str, Any] | None = None) -> tuple[str, str, Any]:
        body = {"query_embeddings": [queries[number].tolist()], "n_results": K, "include": include, "where": where}
        return "POST", account.path("query"), body

    def ids(number: int) -> tuple[str, str, Any]:
        names = [f"row-{(number * 7_919 + step * 104_729) % rows}" for step in range(10)]
        return "POST", account.path("get"), {"ids": names, "include": ["documents", "metadatas", "embeddings"]}

    def page(_: int) -> tuple[str, str, Any]:
        return "POST", account.path("get"), {"limit": 100, "offset": rows // 2, "include": ["documents", "metadatas"]}

    return [
        Question("query", query, has_recall=True),
        Question("query, filter of 1 %", lambda n: query(n, {"part": n % PARTS}), None, has_recall=True),
        Question("query, filter of 40 %", lambda n: query(n, {"fifth": {"$lt": 2}}), numbers % FIFTHS < 2, True),
        Question("get of 10 ids", ids),
        Question("count", lambda _: ("GET", account.path("count"), None)),
        Question("page of 100 at half", page),
    ]


def run(account: Account, question: Question, number: int, truth: Truth, rows: int) -> Answer:
    """Start a container and ask it once."""
    with container(account) as running:
        account.emulator.requests()
        answer = running.ask(*question.request(number))
        requests = [request for request in account.emulator.requests() if request["end"] is not None]
        return Answer(
            answer["ms"],
            answer["cpu_ms"],
            running.started["cpu_ms"],
            sum(request["bytes"] for request in requests),
            len(requests),
            rounds(requests),
            _recall(answer, question, number, truth, rows),
        )


def rounds(requests: list[dict[str, Any]]) -> int:
    """How many times requests were in flight, with none in flight between."""
    count, busy_until = 0, float("-inf")
    for request in sorted(requests, key=lambda request: request["start"]):
        count += request["start"] > busy_until
        busy_until = max(busy_until, request["end"])
    return count


def _recall(answer: dict[str, Any], question: Question, number: int, truth: Truth, rows: int) -> float | None:
    if answer["status"] >= 300:
        raise SystemExit(f"{question.name}: {answer['status']} {answer['body'][:500]}")
    if not question.has_recall:
        return None
    mask = question.mask
    if question.name.endswith("1 %"):
        mask = np.arange(rows) % PARTS == number % PARTS
    return recall_of(truth, number, json.loads(answer["body"])["ids"][0], mask)


def recall_of(truth: Truth, number: int, ids: list[str], mask: NDArray[np.bool_] | None = None) -> float:
    """The recall of an answer with these ids to query `number`, of the rows that `mask` allows."""
    return truth.recall(number, [int(name.removeprefix("row-")) for name in ids], mask)


def summary(name: str, answers: list[Answer]) -> Row:
    """The row of a question."""
    times = np.array([answer.ms for answer in answers])

    def median(field: str) -> float:
        return float(np.median([getattr(answer, field) for answer in answers]))

    recalls = [answer.recall for answer in answers if answer.recall is not None]
    return Row(
        name,
        float(np.median(times)),
        float(np.quantile(times, 0.9)),
        median("cpu_ms"),
        median("start_cpu_ms"),
        median("bytes") / 1e6,
        int(median("requests")),
        int(median("rounds")),
        float(np.mean(recalls)) if recalls else None,
    )


def burst(account: Account, question: Question, size: int) -> list[float]:
    """Milliseconds of as many containers that ask at once, each over a network of its own."""
    account.emulator.set_weather(replace(LAMBDA, total_mbs=size * LAMBDA.total_mbs))
    with ExitStack() as stack:
        running: list[Container] = [stack.enter_context(container(account)) for _ in range(size)]
        with ThreadPoolExecutor(size) as pool:
            futures = [pool.submit(one.ask, *question.request(number)) for number, one in enumerate(running)]
            return sorted(future.result()["ms"] for future in futures)


HEADER = (
    "| request | p50 ms | p90 ms | CPU ms | MB | requests | rounds | recall@10 |",
    "|---|--:|--:|--:|--:|--:|--:|--:|",
)


def line(row: Row) -> str:
    """A row of the table in markdown."""
    recall = "–" if row.recall is None else f"{row.recall:.3f}"
    return (
        f"| {row.name} | {row.p50_ms:.0f} | {row.p90_ms:.0f} | {row.cpu_ms:.0f} | {row.megabytes:.2f} "
        f"| {row.requests} | {row.rounds} | {recall} |"
    )


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--runs", type=int, default=30, help="containers per request (default: %(default)s)")
    parser.add_argument("--burst", type=int, default=50, help="containers that ask at once; 0: none")
    parser.add_argument("--corpus", type=Path, help="folder with embeddings.npy; without it, synthetic clusters")
    parser.add_argument("--dimension", type=int, help="of the rows; without it, that of the corpus")
    parser.add_argument("--only", help="the requests whose name contains this")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    made = RowMaker(options.corpus, dimension=options.dimension).take(options.rows + QUERIES)
    rows, queries = made[: options.rows], made[options.rows :]
    truth = Truth(rows, queries, K)
    with tempfile.TemporaryDirectory() as folder, account(rows, Path(folder)) as loaded:
        asked = [one for one in questions(loaded, queries, len(rows)) if not options.only or options.only in one.name]
        print(f"{len(rows):,} × {rows.shape[1]}, {options.runs} containers each; loaded in {loaded.seconds:.0f} s\n")
        print("\n".join(HEADER), flush=True)
        figures = []
        for question in asked:
            answers = [run(loaded, question, number, truth, len(rows)) for number in range(options.runs)]
            figures.append(summary(question.name, answers))
            print(line(figures[-1]), flush=True)
        print(f"\nstart of a container: {figures[0].start_cpu_ms:.0f} ms of CPU")
        if options.burst:
            times = burst(loaded, asked[0], options.burst)
            print(f"\n{options.burst} at once: p50 {times[len(times) // 2]:.0f} ms, slowest {times[-1]:.0f} ms")
    if options.json:
        options.json.write_text(json.dumps({"rows": len(rows), "figures": [asdict(row) for row in figures]}))


if __name__ == "__main__":
    main()
