"""Attached functions: their output is what the records say, whichever runs crashed, raced or were repeated."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pytest

from afterglow.catalog.model import AttachedFunction
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope, Selection
from afterglow.collection.write import write_path
from afterglow.collection.write.functions import FunctionRequest
from afterglow.errors import Unavailable
from afterglow.jobs import function_outputs, functions
from afterglow.jobs.indexer import IndexReport, flush_log, index
from afterglow.log.batch import Batch, Op
from tests.support.model import EVERYTHING, Model
from tests.support.stores import WITH_RETENTION, new_collection, quick_folder, stores_at

VALUES: list[Any] = [1, 2, True, False, 1.0, 2.5, -1e-7, "a", "true", "1", "é", ["a", "b", "a"], [1, 1], [2.5], None]
SPARSE = {"#type": "sparse_vector", "indices": [3, 70], "values": [0.5, 1.0]}


class Environment:
    def __init__(self, engine: Engine) -> None:
        self.engine, self.stores = engine, engine.stores
        self.scope, collection = new_collection(self.stores)
        self.replica = Replica.for_indexer(self.stores, collection.id)
        self.model = Model()

    def attach(self, function: str = "statistics") -> AttachedFunction:
        return self.engine.attach_function(self.scope, FunctionRequest("f", function, "output"))[0]

    @property
    def function(self) -> AttachedFunction:
        return self.engine.get_function(self.scope, "f")

    @property
    def output(self) -> Scope:
        return Scope(self.scope.tenant, self.scope.database, self.function.output_id)

    def write(self, batch: Batch) -> None:
        self.engine.write(self.scope, batch)
        self.model.apply(batch)

    def upsert(self, record_id: str, **metadata: Any) -> None:
        self.write(Batch(Op.UPSERT, [record_id], vectors=np.ones((1, 2), np.float32), metadatas=[metadata]))

    def index(self) -> IndexReport:
        return index(self.stores, self.replica, self.scope.collection, idle=True)

    def found(self) -> dict[str, tuple[Any, Any]]:
        records = self.engine.get(self.output, Selection(), None, 0, EVERYTHING)
        assert records.metadatas is not None
        assert records.documents is not None
        metadatas = [orjson.loads(metadata or b"null") for metadata in records.metadatas]
        return dict(zip(records.ids, zip(records.documents, metadatas, strict=True), strict=True))

    def expected(self) -> dict[str, tuple[Any, Any]]:
        counts: Counter[tuple[str, str, str, str]] = Counter()
        for record in self.model.records.values():
            for key, value in (record.metadata or {}).items():
                for item in value if isinstance(value, list) else [value]:
                    for kind, tag, text in described(item):
                        counts[key, kind, tag, text] += 1
        counts["summary", "str", "s", "total_count"] = len(self.model.records)
        return {
            f"{key}::{tag}:{text}": (
                f"statistics about {key} for {tag}:{text}",
                {"count": count, "key": key, "type": kind, "value": text},
            )
            for (key, kind, tag, text), count in counts.items()
        }


def described(value: Any) -> list[tuple[str, str, str]]:
    if isinstance(value, bool):
        return [("bool", "b", str(value).lower())]
    if isinstance(value, int):
        return [("int", "i", str(value))]
    if isinstance(value, float):
        mantissa, exponent = f"{value:.16e}".split("e")
        return [("float", "f", f"{mantissa}e{int(exponent)}")]
    if isinstance(value, dict):
        return [("sparse", "sv", str(dimension)) for dimension in value["indices"]]
    return [("str", "s", value)]


@pytest.fixture
def env() -> Iterator[Environment]:
    with quick_folder() as folder:
        stores = stores_at(folder, WITH_RETENTION)
        engine = Engine(stores)
        yield Environment(engine)
        stores.table.close()


def test_statistics_follow_the_records(env: Environment) -> None:
    chance = random.Random(5)
    env.upsert("before", a=1, sparse=SPARSE)
    function = env.attach()
    for step in range(40):
        ids = chance.sample([f"r{number}" for number in range(12)], 2)
        if chance.random() < 0.2:
            env.write(Batch(Op.DELETE, ids))
        else:
            metadatas = [{chance.choice("abc"): chance.choice(VALUES) for _ in range(2)} for _ in ids]
            if chance.random() < 0.2:
                metadatas[0]["sparse"] = SPARSE
            op = chance.choice([Op.UPSERT, Op.UPDATE, Op.ADD])
            if op is Op.ADD:
                metadatas = [
                    {key: value for key, value in metadata.items() if value is not None} for metadata in metadatas
                ]
            vectors = None if op is Op.UPDATE else np.ones((2, 2), np.float32)
            env.write(Batch(op, ids, vectors=vectors, metadatas=metadatas))
        if step % 8 == 7:
            env.index()
            assert env.found() == env.expected()
            assert env.function.completion_offset == step + 2
            assert env.function.id == function.id
    env.write(Batch(Op.DELETE, [*env.model.records]))
    env.index()
    summary = "summary::s:total_count"
    assert env.found() == {summary: env.expected()[summary]}


def test_a_counter_counts(env: Environment) -> None:
    env.attach("record_counter")
    assert env.index().outputs == []
    for number in range(3):
        env.upsert(f"r{number}")
    report = flush_log(env.stores, env.replica, env.scope.collection, up_to=None)
    assert report.outputs == [str(env.function.output_id)]
    assert env.found() == {"function_output": ("Processed 3 records", {"total_count": 3})}
    assert env.index().outputs == []


def test_only_differences_are_written(env: Environment) -> None:
    env.attach()
    env.upsert("a", x=1)
    env.index()
    before = env.engine.count(env.output).position
    assert before is not None
    env.upsert("a", x=1)
    assert env.index().outputs == []
    assert env.engine.count(env.output).position == before
    assert env.function.completion_offset == 2


def test_a_run_that_was_cut_off_is_completed(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    env.attach()
    for number in range(5):
        env.upsert(f"r{number}", x=number)
    writes = write_path.write
    calls = 0

    def cut(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Unavailable("cut")
        return writes(*arguments, **options)

    monkeypatch.setattr(functions, "_BATCH", 2)
    monkeypatch.setattr(write_path, "write", cut)
    with pytest.raises(Unavailable, match="cut"):
        env.index()
    assert env.function.completion_offset == 0
    assert len(env.found()) == 2
    monkeypatch.setattr(write_path, "write", writes)
    env.index()
    assert env.found() == env.expected()
    assert env.function.completion_offset == 5


def test_a_late_run_with_old_records_starts_over(env: Environment) -> None:
    env.attach()
    env.upsert("a", x=1)
    late = Replica(env.stores, env.scope.collection).snapshot()
    env.upsert("a", x=2)
    env.index()
    assert functions.run_function(env.stores, late) == env.function.output_id
    assert env.found() == env.expected()
    assert env.function.completion_offset == 2


def test_a_function_that_is_detached_or_has_no_output(env: Environment) -> None:
    env.attach()
    env.upsert("a", x=1)
    snapshot = Replica(env.stores, env.scope.collection).snapshot()
    env.engine.detach_function(env.scope, "f", delete_output=True)
    assert functions.run_function(env.stores, snapshot) is None
    env.attach()
    env.engine.delete_collection(env.scope.tenant, env.scope.database, "output")
    assert env.index().outputs == []
    assert env.function.completion_offset == 1


def test_an_output_with_too_many_records_is_not_written(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_outputs, "MAX_VALUES", 2)
    env.attach()
    for number in range(3):
        env.upsert(f"r{number}", x=number)
    assert env.index().outputs == []
    assert (env.found(), env.function.completion_offset) == ({}, 3)


def test_a_fork_has_no_function_and_a_drop_leaves_the_output(env: Environment) -> None:
    env.attach()
    env.upsert("a", x=1)
    env.index()
    fork = env.engine.fork(env.scope, "fork")
    assert fork.function is None
    output = env.output
    env.engine.delete_collection(env.scope.tenant, env.scope.database, "tested")
    assert env.engine.count(output).count == 2


def test_attaching_twice_at_once_attaches_once(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    transact, raced = env.stores.table.transact, list[AttachedFunction]()

    def race(*arguments: Any) -> None:
        monkeypatch.setattr(env.stores.table, "transact", transact)
        raced.append(env.attach())
        transact(*arguments)

    monkeypatch.setattr(env.stores.table, "transact", race)
    function, is_new = env.engine.attach_function(env.scope, FunctionRequest("f", "statistics", "output"))
    assert ([function], is_new) == (raced, False)


def test_an_attachment_whose_response_was_lost_is_recognised(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    transact = env.stores.table.transact

    def lose(*arguments: Any) -> None:
        monkeypatch.setattr(env.stores.table, "transact", transact)
        transact(*arguments)
        transact(*arguments)  # as an adapter that tries again: its own writes are there already

    monkeypatch.setattr(env.stores.table, "transact", lose)
    _, is_new = env.engine.attach_function(env.scope, FunctionRequest("f", "statistics", "output"))
    assert is_new
