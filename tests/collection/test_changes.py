"""Changes: each entry once and in order, from log and archive; a consumer rebuilds the collection from them."""

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from afterglow.catalog import Collection
from afterglow.collection import Engine
from afterglow.collection.changes import archived, lines
from afterglow.collection.changes.position import ChangePosition, parse
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope, Selection
from afterglow.collection.write.transaction import Transaction
from afterglow.errors import InvalidArgument, NotFound, PositionExpired
from afterglow.jobs.indexer import index
from afterglow.log import archive
from afterglow.log.batch import Batch, Op
from afterglow.storage.local.table import SqliteTable
from afterglow.storage.ports import Stores
from tests.support.model import EVERYTHING, Model, as_pairs, canonical
from tests.support.stores import SMALL, WITH_RETENTION, Clock, new_collection, quick_folder, stores_at

NAMES = [f"r{number}" for number in range(12)]
BIG = 10**9


class AccountTable(SqliteTable):
    """Keeps placeholders as in an account, where appends do not check the state."""

    has_cheap_transactions = False


class Environment:
    """A collection, its indexer, and a consumer that rebuilds it."""

    def __init__(self, stores: Stores) -> None:
        self.stores, self.engine = stores, Engine(stores)
        self.scope, self.collection = new_collection(stores)
        self.replica = Replica.for_indexer(stores, self.collection.id)

    def index(self, *, idle: bool = True) -> None:
        index(self.stores, self.replica, self.collection.id, idle=idle)

    def write(self, op: Op, ids: list[str], **fields: Any) -> int:
        position = self.engine.write(self.scope, Batch(op, ids, **fields))
        assert position is not None
        return position

    def records(self) -> str:
        return canonical(as_pairs(self.engine.get(self.scope, Selection(), None, 0, EVERYTHING)))


class Consumer:
    """Applies each line to a model, and checks that positions follow each other."""

    def __init__(self, engine: Engine, scope: Scope) -> None:
        self.engine, self.scope = engine, scope
        self.model, self.position, self.lines = Model(), ChangePosition(0), 0
        self.pending = 0

    def read(self, limit: int = BIG, max_bytes: int = BIG) -> bool:
        """Read one page; whether it had anything."""
        page = self.engine.changes(self.scope, self.position, limit, max_bytes)
        for line in page.lines:
            parsed = orjson.loads(line.content)
            assert (parsed["position"], parsed["offset"]) == (self.position.last_complete + 1, self.pending)
            self.position = parse(parsed["next"])
            self.pending = self.position.records
            assert line.next == self.position
            self.model.apply(batch_of(parsed))
            self.lines += 1
        assert page.next == self.position
        return bool(page.lines)

    def catch_up(self, limit: int = BIG, max_bytes: int = BIG) -> None:
        while self.read(limit, max_bytes):
            pass


def batch_of(parsed: dict[str, Any]) -> Batch:
    records = parsed["records"]
    given = records.get("embeddings")
    rows = None if given is None else [at for at, vector in enumerate(given) if vector is not None]
    return Batch(
        Op(parsed["operation"]),
        records["ids"],
        vectors=None if not rows or given is None else np.array([given[row] for row in rows], np.float32),
        vector_rows=None if not rows else np.array(rows),
        documents=records.get("documents"),
        metadatas=records.get("metadatas"),
        uris=records.get("uris"),
    )


@pytest.fixture(params=["directory", "account"])
def env(request: pytest.FixtureRequest) -> Iterator[Environment]:
    with quick_folder() as folder:
        stores = stores_at(folder, WITH_RETENTION)
        if request.param == "account":
            stores.table.close()
            stores = replace(stores, table=AccountTable(folder / "table.sqlite"))
        yield Environment(stores)
        stores.table.close()


def write_something(env: Environment, chance: random.Random) -> None:
    batches = [some_batch(chance) for _ in range(chance.choice((1, 1, 2, 3)))]
    env.engine.commit(env.scope, Transaction(batches))


def some_batch(chance: random.Random) -> Batch:
    ids = chance.sample(NAMES, chance.randint(1, 5))
    op = chance.choice([Op.ADD, Op.UPSERT, Op.UPDATE, Op.DELETE])
    if op is Op.DELETE:
        return Batch(op, ids[:2])
    rows = list(range(len(ids))) if op is not Op.UPDATE else [row for row in range(len(ids)) if chance.random() < 0.5]
    vectors = np.array([[chance.random(), chance.random()] for _ in rows], np.float32) if rows else None
    return Batch(
        op,
        ids,
        vectors=vectors,
        vector_rows=None if len(rows) == len(ids) else np.array(rows, np.int64) if rows else None,
        documents=None if chance.random() < 0.3 else [chance.choice([None, "d" * chance.randint(1, 200)]) for _ in ids],
        metadatas=None if chance.random() < 0.3 else [chance.choice([None, {"n": chance.randint(1, 9)}]) for _ in ids],
        uris=None if chance.random() < 0.6 else [f"u{chance.randint(1, 9)}" for _ in ids],
    )


@pytest.mark.slow
def test_a_consumer_rebuilds_the_collection_over_flushes_compactions_and_trims(env: Environment) -> None:
    chance = random.Random(7)
    follower, late = (Consumer(env.engine, env.scope) for _ in range(2))
    for step in range(60):
        write_something(env, chance)
        if step % 7 == 0:
            env.index(idle=chance.random() < 0.5)
        if step % 3 == 0:
            follower.read(limit=chance.randint(1, 5))
        if step % 20 == 0:
            late.read(limit=1)
    for consumer in (follower, late, Consumer(env.engine, env.scope)):
        consumer.catch_up(limit=17)
        assert consumer.position == ChangePosition(60)
        assert canonical([*consumer.model.records.items()]) == env.records()
    assert not Consumer(env.engine, env.scope).read(limit=0)


def test_a_large_write_is_cut_and_goes_on_within(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_BYTES", 3_000)
    names = [f"n{number}" for number in range(500)]
    vectors = np.arange(1000, dtype=np.float32).reshape(500, 2)
    env.write(Op.UPSERT, names, vectors=vectors, documents=["x" * (number % 90) for number in range(500)])
    rows = np.arange(0, 500, 3)
    env.write(Op.UPDATE, names, vectors=vectors[rows] + 1, vector_rows=rows)
    env.write(Op.UPSERT, ["huge"], vectors=vectors[:1], documents=["y" * 20_000])
    for _ in range(2):
        consumer = Consumer(env.engine, env.scope)
        consumer.catch_up(max_bytes=10_000)
        assert consumer.lines > 10
        assert canonical([*consumer.model.records.items()]) == env.records()
        whole = env.engine.changes(env.scope, ChangePosition(0), BIG, BIG)
        assert sum(line.records for line in whole.lines) == 1001
        assert max(len(line.content) for line in whole.lines[:-1]) <= 6_000
        env.index()


def test_operations_of_a_transaction_have_lines_of_their_own(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    env.write(Op.UPSERT, ["a"], vectors=np.ones((1, 2), np.float32))
    names = [f"n{number}" for number in range(100)]
    upsert = Batch(Op.UPSERT, names, np.ones((100, 2), np.float32), documents=["x" * 50] * 100)
    env.engine.commit(env.scope, Transaction([Batch(Op.DELETE, ["a"]), upsert, Batch(Op.UPDATE, ["n1"], uris=["u"])]))
    found = env.engine.changes(env.scope, ChangePosition(1), BIG, BIG).lines
    assert [(str(line.next), line.records) for line in found] == [("2:1", 1), ("2:101", 100), ("2", 1)]
    assert {orjson.loads(line.content)["total"] for line in found} == {102}
    assert env.engine.changes(env.scope, ChangePosition(2, 101), BIG, BIG).lines == found[2:]
    monkeypatch.setattr(lines, "LINE_BYTES", 3_000)
    consumer = Consumer(env.engine, env.scope)
    consumer.catch_up(limit=1)
    assert consumer.lines > 4
    assert canonical([*consumer.model.records.items()]) == env.records()


def test_bytes_of_a_page_are_bounded(env: Environment) -> None:
    for number in range(40):
        env.write(Op.UPSERT, [f"n{number}"], vectors=np.ones((1, 2), np.float32), documents=["z" * 300])
    for _ in range(2):
        position, sizes = ChangePosition(0), []
        while (page := env.engine.changes(env.scope, position, BIG, 2_000)).lines:
            sizes.append(sum(len(line.content) + 1 for line in page.lines))
            position = page.next
        assert position == ChangePosition(40)
        assert max(sizes) <= 2_001
        env.index()


def test_large_archives_are_read_in_ranges(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        env.write(Op.UPSERT, [f"n{number}"], vectors=np.ones((1, 2), np.float32), documents=["z" * 100])
    env.index()
    monkeypatch.setattr(archived, "_SMALL_BYTES", 100)
    consumer = Consumer(env.engine, env.scope)
    consumer.catch_up(limit=9, max_bytes=1_500)
    assert consumer.position == ChangePosition(60)
    assert canonical([*consumer.model.records.items()]) == env.records()


def test_what_is_not_retained_is_refused_with_the_oldest_position() -> None:
    with quick_folder() as folder:
        clock = Clock()
        stores = stores_at(folder, WITH_RETENTION, clock)
        env = Environment(stores)
        chance = random.Random(3)
        for _ in range(5):
            write_something(env, chance)
        env.index()
        Consumer(env.engine, env.scope).catch_up()
        clock.sleep(2 * WITH_RETENTION.retention_seconds)
        for _ in range(5):
            write_something(env, chance)
            env.index()
        clock.sleep(10)
        env.index()
        archives = list(archive.list_archives(stores.objects, env.collection.id))
        with pytest.raises(PositionExpired, match="oldest position is") as refused:
            env.engine.changes(env.scope, ChangePosition(0), BIG, BIG)
        assert refused.value.oldest == archives[0].first - 1 >= 5
        page = env.engine.changes(env.scope, ChangePosition(refused.value.oldest), BIG, BIG)
        assert page.next == ChangePosition(10)
        with pytest.raises(PositionExpired):
            env.engine.changes(env.scope, ChangePosition(refused.value.oldest - 1), BIG, BIG)
        stores.table.close()


def test_without_an_archive_only_the_log_can_be_read() -> None:
    with quick_folder() as folder:
        env = Environment(stores_at(folder, SMALL))
        env.write(Op.ADD, ["a"], vectors=np.ones((1, 2), np.float32))
        env.index()
        with pytest.raises(PositionExpired) as refused:
            env.engine.changes(env.scope, ChangePosition(0), BIG, BIG)
        assert refused.value.oldest == 1
        assert env.engine.changes(env.scope, ChangePosition(1), BIG, BIG).lines == []
        env.write(Op.DELETE, ["a"])
        (line,) = env.engine.changes(env.scope, ChangePosition(1), BIG, BIG).lines
        parsed = orjson.loads(line.content)
        assert (parsed["operation"], parsed["records"]) == ("delete", {"ids": ["a"]})
        env.stores.table.close()


def test_a_fork_has_its_own_changes(env: Environment) -> None:
    for name in "abc":
        env.write(Op.ADD, [name], vectors=np.ones((1, 2), np.float32))
    env.index()
    env.write(Op.ADD, ["d"], vectors=np.ones((1, 2), np.float32))
    fork: Collection = env.engine.fork(env.scope, "fork")
    scope = Scope(fork.tenant, fork.database, fork.id)
    env.engine.write(scope, Batch(Op.DELETE, ["a"]))
    with pytest.raises(PositionExpired) as refused:
        env.engine.changes(scope, ChangePosition(2), BIG, BIG)
    assert refused.value.oldest == 3
    for _ in range(2):
        page = env.engine.changes(scope, ChangePosition(3), BIG, BIG)
        assert [orjson.loads(line.content)["operation"] for line in page.lines] == ["add", "delete"]
        index(env.stores, Replica.for_indexer(env.stores, fork.id), fork.id, idle=True)
    env.engine.delete_collection(fork.tenant, fork.database, "fork")
    with pytest.raises(NotFound):
        env.engine.changes(scope, ChangePosition(3), BIG, BIG)


def test_a_position_behind_the_end_is_refused(env: Environment) -> None:
    assert env.engine.changes(env.scope, ChangePosition(0), BIG, BIG).lines == []
    for _ in range(3):
        env.index()
        end = env.write(Op.UPSERT, ["a"], vectors=np.ones((1, 2), np.float32))
        assert env.engine.changes(env.scope, ChangePosition(end), BIG, BIG).next == ChangePosition(end)
        for beyond in (end + 1, end + 5, 10**17):
            with pytest.raises(InvalidArgument, match=f"position {beyond} does not exist yet"):
                env.engine.changes(env.scope, ChangePosition(beyond), BIG, BIG)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1:", ":1", "x", "1" * 19, "1:1:1", " 1"])
def test_texts_that_are_no_position(text: str) -> None:
    with pytest.raises(InvalidArgument, match="is not a position like 17 or 17:300"):
        parse(text)


def test_a_follower_during_writes_and_indexing_misses_nothing(env: Environment) -> None:
    def write(number: int) -> None:
        for count in range(40):
            env.write(Op.UPSERT, [f"w{number}", f"c{count}"], vectors=np.full((2, 2), count, np.float32))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    consumer = Consumer(env.engine, env.scope)
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        env.index()
        consumer.read(limit=30)
    for writer in writers:
        writer.join()
    consumer.catch_up()
    assert consumer.position == ChangePosition(80)
    assert canonical([*consumer.model.records.items()]) == env.records()
