"""The process of one peer: loads, indexes, queries, updates and deletes; prints its figures as JSON.

Its arguments are the module of the adapter, the folder of the task, and an empty folder for data. It runs in the
environment of the peer, which has numpy, and may not have Afterglow.
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

from tests.benchmarks.embedded_peers.adapters.adapter import Adapter, K
from tests.benchmarks.embedded_peers.task import EVERY, Task, read
from tests.benchmarks.memory import tree

BATCH = 1_000
RECALL = 0.99
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


def measure(peer: Adapter, task: Task, folder: Path) -> dict[str, Any]:
    """All figures."""
    count = len(task.records.ids)
    began = time.perf_counter()
    for start in range(0, count, BATCH):
        peer.load(start, min(start + BATCH, count))
    loaded = time.perf_counter()
    peer.finish_index()
    indexed, used = time.perf_counter(), cpu_seconds()
    figures: dict[str, Any] = {"load_seconds": loaded - began, "index_seconds": indexed - began, "cpu_seconds": used}
    if peer.has_records:
        figures["disk"] = disk_bytes(folder)
    breadth = figures["breadth"] = choose_breadth(peer, task)
    queries = task.queries[1::EVERY]
    answers = [timed(lambda query=query: peer.query(query, breadth)) for query in queries]  # type: ignore[misc]
    figures["query_seconds"], figures["answers"] = map(list, zip(*answers, strict=True))
    if not peer.has_records:
        peer.close()
        return {**figures, "disk": disk_bytes(folder)}
    figures["filters"] = []
    for where in task.filters:
        some = queries[: len(queries) // 2]
        answers = [timed(lambda query=query: peer.query(query, breadth, where)) for query in some]  # type: ignore[misc]  # noqa: B023
        figures["filters"].append(tuple(map(list, zip(*answers, strict=True))))
    updated = [timed(lambda row=row: peer.update(row, task.queries[row])) for row in range(UPDATES)]  # type: ignore[misc]
    figures["update_seconds"] = [seconds for seconds, _ in updated]
    figures["delete_seconds"] = timed(lambda: peer.delete(range(UPDATES, UPDATES + DELETIONS)))[0]
    peer.close()
    return figures


def main(module: str, task_folder: Path, folder: Path) -> None:
    """Measure one peer."""
    task = read(task_folder)
    adapters = "tests.benchmarks.embedded_peers.adapters"
    peer: Adapter = import_module(f"{adapters}.{module}").open_peer(folder, task.records)
    print(json.dumps(measure(peer, task, folder)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
