"""Several at once: the same function in threads or in processes, and what they contend for."""

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from afterglow.storage.ports import ConditionFailed, Objects, Table
from tests.contract.adapters import Adapter

T = TypeVar("T")


def in_threads(count: int, work: Callable[[int], T]) -> list[T]:
    """`work(0)`, `work(1)`, … at the same moment."""
    gate = threading.Barrier(count)

    def run(number: int) -> T:
        gate.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def in_processes(count: int, work: Callable[[Path, int], T], folder: Path) -> list[T]:
    """`work(folder, 0)`, `work(folder, 1)`, … in fresh processes at about the same moment."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        return [future.result(60) for future in [pool.submit(work, folder, number) for number in range(count)]]


def claim(table: Table, number: int, slots: int) -> list[int]:
    """The slots that this contender won."""
    won = []
    for slot in range(slots):
        try:
            table.put("race", f"{slot:04}", b"%d" % number, if_absent=True)
        except ConditionFailed as conflict:
            if conflict.existing is None or conflict.existing.value == b"%d" % number:
                raise
        else:
            won.append(slot)
    return won


def increment(table: Table, times: int) -> None:
    """Count up by compare and set."""
    done = 0
    while done < times:
        present = table.get("race", "counter")
        assert present is not None
        try:
            table.put("race", "counter", b"%d" % (int(present.value) + 1), if_version=present.version)
        except ConditionFailed:
            continue
        done += 1


def claim_in_process(adapter: Adapter[Table], folder: Path, number: int) -> list[int]:
    table = adapter.open(folder)
    try:
        won = claim(table, number, 40)
        increment(table, 15)
        return won
    finally:
        table.close()


def put_first(adapter: Adapter[Objects], folder: Path, number: int) -> list[int]:
    objects = adapter.open(folder)
    won = []
    for slot in range(25):
        try:
            objects.put(f"race/{slot}", b"%d" % number, if_absent=True)
        except ConditionFailed:
            continue
        won.append(slot)
    return won
