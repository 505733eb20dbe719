"""Transfers between two collections at the same time as plain writes: the sum never changes, in any committed audit."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, Scope, Selection
from afterglow.collection.write.transaction import Transaction
from afterglow.errors import Busy, StaleRead, WriteConflict
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from tests.support.stores import WITH_RETENTION, new_collection, stores_at

ACCOUNTS, FIRST = 4, 100
ALL = [f"k{number}" for number in range(ACCOUNTS)]


@dataclass
class Done:
    """What a client has committed; `sums` are those that its audits found."""

    transfers: int = 0
    conflicts: int = 0
    sums: set[int] | None = None


def balances(engine: Engine, scope: Scope, ids: list[str]) -> tuple[dict[str, int], int]:
    """The balances of a snapshot now, and its position."""
    found = engine.get_in_transaction(scope, Selection(ids), None, 0, frozenset({Include.METADATAS}), position=None)
    values = [orjson.loads(metadata or b"{}")["n"] for metadata in found.metadatas or ()]
    return dict(zip(found.ids, values, strict=True)), found.position


def set_to(value: int, name: str) -> Batch:
    return Batch(Op.UPSERT, [name], np.ones((1, 2), np.float32), metadatas=[{"n": value}])


def run_client(engine: Engine, scopes: tuple[Scope, Scope], seed: int, steps: int) -> Done:
    chance, done, sums = random.Random(seed), Done(), set[int]()
    for step in range(steps):
        choice = chance.random()
        try:
            if choice < 0.2:  # an audit: it writes nothing, and proves that its reads belong together
                read = [balances(engine, scope, ALL) for scope in scopes]
                parts = [Transaction([], position, ALL) for _, position in read]
                engine.commit_together([*zip(scopes, parts, strict=True)])
                sums.add(sum(sum(values.values()) for values, _ in read))
            elif choice < 0.4:  # in one collection, by a commit of its own or by a plain write of another record
                scope = chance.choice(scopes)
                source, target = chance.sample(ALL, 2)
                values, position = balances(engine, scope, [source, target])
                operations = [set_to(values[source] - 1, source), set_to(values[target] + 1, target)]
                engine.commit(scope, Transaction(operations, position, [source, target]))
                engine.write(scope, Batch(Op.DELETE, [f"other {seed} {step}"]))
            else:
                pair = scopes if chance.random() < 0.5 else scopes[::-1]
                names = [chance.choice(ALL) for _ in pair]
                read = [balances(engine, scope, [name]) for scope, name in zip(pair, names, strict=True)]
                parts = [
                    Transaction([set_to(values[name] + change, name)], position, [name])
                    for (values, position), name, change in zip(read, names, (-5, 5), strict=True)
                ]
                engine.commit_together([*zip(pair, parts, strict=True)])
                done.transfers += 1
        except (WriteConflict, StaleRead, Busy):
            done.conflicts += 1
    done.sums = sums
    return done


@pytest.mark.parametrize(
    ("count", "steps"), [(3, 8), pytest.param(16, 40, marks=pytest.mark.slow)], ids=["quick", "long"]
)
def test_the_sum_of_two_collections_stays(tmp_path: Path, count: int, steps: int) -> None:
    stores = stores_at(tmp_path, replace(WITH_RETENTION, retention_seconds=5_000.0, gc_grace_seconds=3_600.0))
    scopes = (new_collection(stores)[0], new_collection(stores, name="second")[0])
    for scope in scopes:
        for name in ALL:
            Engine(stores).write(scope, set_to(FIRST, name))
    engines = [Engine(stores) for _ in range(count)]
    with ThreadPoolExecutor(count) as pool:
        running = [pool.submit(run_client, engine, scopes, seed, steps) for seed, engine in enumerate(engines)]
        while not all(future.done() for future in running):
            for scope in scopes:
                index(stores, Replica.for_indexer(stores, scope.collection), scope.collection, idle=False)
        clients = [future.result() for future in running]
    total = 2 * ACCOUNTS * FIRST
    assert set[int]().union(*(one.sums or () for one in clients)) <= {total}
    assert sum(sum(balances(Engine(stores), scope, ALL)[0].values()) for scope in scopes) == total
    assert sum(one.transfers for one in clients) > 0
    stores.table.close()
