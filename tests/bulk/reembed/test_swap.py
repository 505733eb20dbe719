"""The swap beside writers: nothing acknowledged is lost, and those that never pause are held for a moment."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from threading import Event

import numpy as np
import pytest

from afterglow.catalog import keys
from afterglow.collection import Batch, Engine, Op
from afterglow.errors import Busy, NotFound
from afterglow.storage.ports import Delete, Stores
from afterglow.storage.ports import Write as TableWrite
from tests.bulk.reembed.environment import (
    REQUEST,
    Environment,
    require_vectors,
)
from tests.log.collection_log import CostlyTransactions
from tests.support.faulty import Faults, FaultyTable


class RacingTable(FaultyTable):
    """Calls `rival` before the transaction that swaps the collections."""

    def __init__(self, stores: Stores, rival: Callable[[], object]) -> None:
        super().__init__(stores.table, Faults())
        self.rival = rival

    def transact(self, writes: Sequence[TableWrite]) -> None:
        if any(isinstance(item, Delete) and item.sk == keys.REEMBED for item in writes):
            self.rival()
        super().transact(writes)


def test_a_write_just_before_the_swap_is_not_lost(env: Environment) -> None:
    env.add("a")
    rivals = iter(["b", "c", None])

    def rival() -> None:
        name = next(rivals)
        if name is not None:
            env.add(name)
            env.settle()

    env.run(stores=replace(env.stores, table=RacingTable(env.stores, rival)))
    assert list(env.named()) == ["a", "b", "c"]
    assert next(rivals, "end") == "end"


class Rival:
    """Writes one record after another, and counts the writes that were refused."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.refused = 0
        self.acknowledged: list[str] = []

    def __call__(self) -> None:
        name = f"w{len(self.acknowledged)}"
        try:
            self.env.add(name)
        except Busy:
            self.refused += 1
        else:
            self.acknowledged.append(name)


def test_writers_that_are_always_first_are_held(env: Environment) -> None:
    env.add("a")
    rival = Rival(env)
    report = env.run(stores=replace(env.stores, table=RacingTable(env.stores, rival)))
    assert report.is_swapped
    assert rival.refused == 1
    assert list(env.named()) == ["a", "w0", "w1", "w2"]
    require_vectors(env.stores)


def test_writers_are_never_held_if_that_is_not_allowed(env: Environment) -> None:
    rival = Rival(env)
    racing = replace(env.stores, table=RacingTable(env.stores, rival))
    with pytest.raises(Busy, match="too fast to be replaced: run the command again"):
        env.run(replace(REQUEST, hold_seconds=0), racing)
    assert (rival.refused, list(env.named())) == (0, rival.acknowledged)
    assert env.run().is_swapped
    assert list(env.named()) == rival.acknowledged


def test_a_writer_that_never_pauses(env: Environment) -> None:
    env.add("a")
    rival = Rival(env)
    env.embedder.meanwhile = rival
    assert not env.run(replace(REQUEST, swap=False)).is_swapped
    assert env.run().is_swapped
    assert rival.refused
    assert list(env.named()) == ["a", *rival.acknowledged]
    require_vectors(env.stores)


@pytest.mark.parametrize("in_account", [False, True], ids=["in a directory", "in an account"])
def test_writers_that_write_all_the_time(env: Environment, in_account: bool) -> None:
    """Threads of another engine, as of a server next to the command; a model takes longer than a write."""
    if in_account:
        env.stores = replace(env.stores, table=CostlyTransactions(env.stores.table))
    env.add("a")
    env.embedder.meanwhile = lambda: time.sleep(0.02)
    writer, end = Engine(env.stores), Event()
    refused: list[str] = []
    acknowledged: list[dict[str, str]] = [{}, {}]

    def run(thread: int) -> None:
        for number in count():
            if end.wait(0.001):  # without a pause, threads of one process starve each other
                return
            name, document = f"{thread}-{number % 50}", f"{thread} {number}"
            try:
                writer.write(env.scope, Batch(Op.UPSERT, [name], np.ones((1, 3), np.float32), documents=[document]))
            except Busy:
                refused.append(name)
            except NotFound:
                return
            else:
                acknowledged[thread][name] = document

    with ThreadPoolExecutor(2) as pool:
        threads = [pool.submit(run, thread) for thread in range(2)]
        try:
            report = env.run(replace(REQUEST, samples=1))
        finally:
            end.set()
        for thread in threads:
            thread.result()
    assert report.is_swapped
    assert refused
    assert all(acknowledged)
    documents = {name: record[0] for name, record in env.named().items()}
    assert documents == {"a": "text of a", **acknowledged[0], **acknowledged[1]}
    require_vectors(env.stores)


def test_writers_go_on_where_the_hold_is_too_short(env: Environment) -> None:
    env.add("a")
    rival = Rival(env)

    def meanwhile() -> None:
        rival()
        if rival.refused:
            env.stores.system.sleep(0.3)
            rival()

    env.embedder.meanwhile = meanwhile
    with pytest.raises(Busy, match=r"although writes were held for 0\.2 seconds"):
        env.run(replace(REQUEST, hold_seconds=0.2))
    rival()
    assert list(env.named()) == ["a", *rival.acknowledged]
    env.embedder.meanwhile = lambda: None
    assert env.run().is_swapped
    assert list(env.named()) == ["a", *rival.acknowledged]
