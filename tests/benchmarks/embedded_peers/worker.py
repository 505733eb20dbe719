"""The process of one peer: loads, indexes, queries, updates and deletes; prints its figures as JSON.

Its arguments are the module of the adapter, the folder of the task, an empty folder for data, and the seconds after
which a load is stopped. It runs in the environment of the peer, which has numpy, and may not have Afterglow.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks.embedded_peers.adapters.adapter import Adapter, K, Vectors, Where
from tests.benchmarks.embedded_peers.task import EVERY, Task, read
from tests.benchmarks.memory import pss_bytes, tree

BATCH = 1_000
RECALL = 0.99
QUERY_SECONDS = 60.0
UPDATES, DELETIONS = 50, 200


def cpu_seconds() -> float:
    """Processor time of this process and of all its children, those that run and those that have ended."""
    ticks = 0
    for process in tree(os.getpid()):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds of a call, and its result."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def ask(peer: Adapter, queries: Vectors, breadth: int, where: Where | None = None) -> tuple[list[Any], ...]:
    """The seconds and the answers of the queries, (m, d), or of the first of them if a minute is not enough for all."""
    until, answers = time.perf_counter() + QUERY_SECONDS, []
    for query in queries:
        answers.append(timed(lambda query=query: peer.query(query, breadth, where)))  # type: ignore[misc]
        if time.perf_counter() > until:
            break
    seconds, ids = map(list, zip(*answers, strict=True))
    return seconds, ids


def choose_breadth(peer: Adapter, task: Task) -> int:
    """The least breadth that reaches the recall, or the widest."""
    for breadth in peer.breadths:
        pairs = zip(task.queries[::EVERY], task.truths, strict=True)
        hits = sum(len(set(peer.query(query, breadth)) & set(truth)) for query, truth in pairs)
        if hits >= RECALL * K * len(task.truths):
            break
    return breadth


def disk_bytes(folder: Path) -> int:
    """Allocated blocks of all files."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def load(peer: Adapter, count: int, seconds: float) -> int:
    """The rows that are loaded in these seconds, at most all."""
    until, start = time.perf_counter() + seconds, 0
    while start < count and time.perf_counter() < until:
        stop = min(start + BATCH, count)
        peer.load(start, stop)
        start = stop
    return start


def measure(peer: Adapter, task: Task, folder: Path, most_seconds: float) -> dict[str, Any]:
    """All figures; of the rows that it has if its load had to be stopped."""
    count = len(task.records.ids)
    began, before = time.perf_counter(), cpu_seconds()
    rows = load(peer, count, most_seconds)
    loaded = time.perf_counter()
    peer.finish_index()
    indexed, used = time.perf_counter(), cpu_seconds()
    figures: dict[str, Any] = {
        "rows": rows,
        "load_seconds": loaded - began,
        "index_seconds": indexed - began,
        "cpu_seconds": used - before,
    }
    if peer.has_records:
        figures["disk"] = disk_bytes(folder)
    breadth = figures["breadth"] = choose_breadth(peer, task)
    queries = task.queries[1::EVERY]
    figures["query_seconds"], figures["answers"] = ask(peer, queries, breadth)
    if not peer.has_records:
        peer.close()
        return {**figures, "disk": disk_bytes(folder)}
    some = queries[: len(queries) // 2]
    figures["filters"] = [ask(peer, some, breadth, where) for where in task.filters]
    updated = [timed(lambda row=row: peer.update(row, task.queries[row])) for row in range(UPDATES)]  # type: ignore[misc]
    figures["update_seconds"] = [seconds for seconds, _ in updated]
    figures["delete_seconds"] = timed(lambda: peer.delete(range(UPDATES, UPDATES + DELETIONS)))[0]
    peer.close()
    return figures


def main(module: str, task_folder: Path, folder: Path, most_seconds: float) -> None:
    """Measure one peer."""
    task = read(task_folder)
    records_bytes = pss_bytes(os.getpid())
    adapters = "tests.benchmarks.embedded_peers.adapters"
    peer: Adapter = import_module(f"{adapters}.{module}").open_peer(folder, task.records)
    figures = measure(peer, task, folder, most_seconds)
    print(json.dumps({**figures, "records_bytes": records_bytes}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
