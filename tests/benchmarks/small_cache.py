"""Containers that answer many random queries, with a cache that holds a part of the collection, or all of it.

The account is that of the cold bench (`tests.benchmarks.cold`). The first container has a small cache: what it reads
replaces what it read before. The second one has room for everything, and is asked everything twice: the second pass is
warm. The trip to the table, which every read makes, is subtracted.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.cold import K, recall_of
from tests.benchmarks.cold_account import Account, Container, account, container
from tests.benchmarks.cold_rows import Matrix, RowMaker, Truth

_TRUTHS = 100
"""Of so many queries the exact answer is computed."""


@dataclass(frozen=True)
class Pass:
    """One pass over all queries."""

    name: str
    milliseconds: list[float]
    megabytes: float
    recall: float
    peak_megabytes: float

    def line(self) -> str:
        """A row of the table."""
        p50, p90 = np.quantile(self.milliseconds, (0.5, 0.9))
        figures = f"{p50:.1f} | {p90:.1f} | {self.megabytes:.2f} | {self.recall:.3f} | {self.peak_megabytes:.0f}"
        return f"| {self.name} | {figures} |"


HEADER = "| | p50 ms | p90 ms | MB a query | recall@10 | peak memory, MB |\n|---|--:|--:|--:|--:|--:|"


def ask_all(name: str, loaded: Account, running: Container, queries: Matrix, truth: Truth) -> Pass:
    """Ask one container everything."""
    milliseconds, recalls, size, peak = [], [], 0, 0.0
    for number, query in enumerate(queries):
        loaded.emulator.requests()
        body: dict[str, Any] = {"query_embeddings": [query.tolist()], "n_results": K, "include": ["distances"]}
        answer = running.ask("POST", loaded.path("query"), body)
        if answer["status"] != 200:
            raise SystemExit(f"query {number}: {answer['status']} {answer['body'][:500]}")
        requests = [request for request in loaded.emulator.requests() if request["end"] is not None]
        trips = sum(request["end"] - request["start"] for request in requests if request["service"] == "table")
        milliseconds.append(answer["ms"] - 1e3 * trips)
        size += sum(request["bytes"] for request in requests)
        peak = answer["rss_mb"]
        if number < _TRUTHS:
            found = json.loads(answer["body"])["ids"][0]
            recalls.append(recall_of(truth, number, found))
    return Pass(name, milliseconds, size / len(queries) / 1e6, float(np.mean(recalls)), peak)


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--cache-megabytes", type=int, default=512)
    parser.add_argument("--corpus", type=Path, help="folder with embeddings.npy; without it, synthetic clusters")
    options = parser.parse_args()
    made = RowMaker(options.corpus).take(options.rows + options.queries)
    rows, queries = made[: options.rows], made[options.rows :]
    truth = Truth(rows, queries, K)
    with tempfile.TemporaryDirectory() as folder, account(rows, Path(folder)) as loaded:
        print(f"{len(rows):,} × {rows.shape[1]}, {len(queries):,} queries\n\n{HEADER}", flush=True)
        small = f"{options.cache_megabytes * 1_000_000}"
        with container(loaded, AFTERGLOW_CACHE_MAX_BYTES=small) as running:
            name = f"a cache of {options.cache_megabytes} MB"
            print(ask_all(name, loaded, running, queries, truth).line(), flush=True)
        with container(loaded, AFTERGLOW_CACHE_MAX_BYTES="0") as running:
            for name in ("a cache for everything, first pass", "second pass"):
                print(ask_all(name, loaded, running, queries, truth).line(), flush=True)


if __name__ == "__main__":
    main()
