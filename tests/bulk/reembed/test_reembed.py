"""Collections that are moved to another embedding function: what clients have before, meanwhile and afterwards."""

import random
from dataclasses import replace

import numpy as np
import pytest

from afterglow.bulk.reembed.progress import copy_name
from afterglow.bulk.reembed.run import ReembedReport
from afterglow.catalog import collections, keys
from afterglow.collection import Batch, Engine, Op
from afterglow.collection.types import Scope, Selection
from afterglow.errors import AfterglowError, AlreadyExists, InvalidArgument, NotFound, WriteConflict
from afterglow.jobs import restore
from tests.bulk.reembed.environment import (
    DATABASE,
    DIMENSION,
    NAME,
    REQUEST,
    TENANT,
    WORDS,
    Environment,
    Record,
    contents,
    require_vectors,
    write,
)
from tests.support.faulty import Crash, Fault, Faults, nth
from tests.support.stores import new_collection, with_faults


def test_no_more_documents_are_embedded_at_once_than_allowed(env: Environment) -> None:
    env.add(*(f"r{number}" for number in range(20)))
    env.stores = replace(env.stores, settings=replace(env.stores.settings, max_batch_size=7))
    assert env.run().records == 20
    require_vectors(env.stores)


def test_a_collection_gets_other_vectors_and_stays_as_it_is(env: Environment) -> None:
    env.add("a", "b", "c", metadatas=[{"x": 1}, None, {"y": [1.5, 2.0]}], uris=["u", None, None])
    env.settle()
    env.add("d")
    before = env.named()
    report = env.run()
    assert (report.is_swapped, report.records, report.skipped, report.copy.dimension) == (True, 4, 0, DIMENSION)
    assert list(env.named().items()) == list(before.items())
    require_vectors(env.stores)
    found = Engine(env.stores).get_collection(TENANT, DATABASE, NAME)
    assert found.id == report.copy.id != report.source.id
    assert found.metadata == {"about": "books"}
    assert found.schema["keys"]["#embedding"]["float_list"]["vector_index"]["config"]["embedding_function"] == {
        "type": "known",
        "name": "default",
        "config": {},
    }
    assert [made.name for made in Engine(env.stores).list_collections(TENANT, DATABASE)] == [NAME]
    with pytest.raises(NotFound):
        env.add("e")
    items = env.stores.table.query(keys.collection(found.id))
    assert not [item for item in items if item.sk == keys.REEMBED]


def test_the_old_one_can_be_restored(env: Environment) -> None:
    env.stores = replace(env.stores, settings=replace(env.stores.settings, retention_seconds=500.0))
    env.add("a", "b")
    before = env.named()
    report = env.run()
    database = Engine(env.stores).catalog.get_database(TENANT, DATABASE)
    old = restore.find(env.stores, database, str(report.source.id))
    restored = restore.restore(env.stores, old, None, "books-old")
    assert contents(env.stores, restored.id) == before
    assert restored.dimension == 3


def test_an_empty_collection(env: Environment) -> None:
    report = env.run()
    assert (report.is_swapped, report.records, report.overlap) == (True, 0, None)
    assert env.named() == {}


@pytest.mark.parametrize("seed", range(4))
def test_it_is_written_meanwhile(env: Environment, seed: int) -> None:
    chance = random.Random(seed)
    names = [f"r{number}" for number in range(12)]
    expected: dict[str, Record] = {}

    def change() -> None:
        chosen = chance.sample(names, 3)
        metadatas = [chance.choice([None, {chance.choice("xyz"): chance.randrange(3)}]) for _ in chosen]
        documents = [chance.choice(WORDS) for _ in chosen]
        match chance.randrange(6):
            case 0:
                Engine(env.stores).delete(env.scope, Selection(chosen))
            case 1:
                env.settle()
            case 2:
                batch = Batch(Op.UPDATE, chosen, metadatas=[dict(m or {}, w=None) for m in metadatas])
                Engine(env.stores).write(env.scope, batch)
            case 3:
                uris = [chance.choice([None, "u"]) for _ in chosen]
                write(env.stores, env.scope, Op.ADD, chosen, documents=documents, metadatas=metadatas, uris=uris)
            case _:
                write(env.stores, env.scope, Op.UPSERT, chosen, documents=documents, metadatas=metadatas)
        expected.clear()
        expected.update(contents(env.stores, env.scope.collection))

    for _ in range(4):
        change()
    changes = iter(range(25))

    def meanwhile() -> None:
        if next(changes, None) is not None:
            change()

    env.embedder.meanwhile = meanwhile
    report = env.run(replace(REQUEST, samples=3))
    assert report.is_swapped
    assert env.named() == expected
    require_vectors(env.stores)


def test_nothing_is_embedded_twice(env: Environment) -> None:
    env.add("a", "b")
    assert not env.run(replace(REQUEST, swap=False)).is_swapped
    require_vectors(env.stores, copy_name(NAME))
    env.add("b", documents=["other"])
    env.add("a", metadatas=[{"x": 2}])
    env.embedder.texts.clear()
    assert env.run().is_swapped
    assert "text of a" not in env.embedder.texts
    assert env.named() == {"a": ("text of a", {"x": 2}, None), "b": ("other", {}, None)}
    require_vectors(env.stores)


def test_records_without_a_document(env: Environment) -> None:
    env.add("a", "b")
    env.add("c", documents=[None])
    with pytest.raises(InvalidArgument, match=r"1 records of 'books' have no document.*'c'"):
        env.run()
    assert list(env.named()) == ["a", "b", "c"]
    report = env.run(replace(REQUEST, skip_without_document=True, swap=False))
    assert report.skipped == 1
    env.add("c")
    assert env.run().skipped == 0
    assert list(env.named()) == ["a", "b", "c"]


def test_a_name_that_is_taken(env: Environment) -> None:
    new_collection(env.stores, copy_name(NAME))
    with pytest.raises(AlreadyExists, match="is no copy of 'books'"):
        env.run()


def test_a_copy_by_another_function(env: Environment) -> None:
    env.run(replace(REQUEST, swap=False))
    env.stores = replace(env.stores, settings=replace(env.stores.settings, embedder="onnx_mini_lm_l6_v2"))
    with pytest.raises(InvalidArgument, match=r"is being embedded by another function.*\(default\)"):
        env.run()


def test_the_overlap_decides(env: Environment) -> None:
    env.add(*map(str, range(30)), vectors=np.random.default_rng(1).standard_normal((30, 3)).astype(np.float32))
    with pytest.raises(InvalidArgument, match=r"overlap@3 of 10 queries .* less than 0.9 \(--min-overlap\)"):
        env.run(replace(REQUEST, min_overlap=0.9, k=3, samples=10))
    assert contents(env.stores, env.scope.collection)
    report = env.run(replace(REQUEST, k=29))
    assert report.overlap is not None
    assert (report.overlap.mean, report.overlap.lowest, report.overlap.queries) == (1.0, 1.0, 30)


def test_texts_are_queries(env: Environment) -> None:
    env.run()
    made = Engine(env.stores).get_collection(TENANT, DATABASE, NAME)
    env.scope = Scope(TENANT, DATABASE, made.id)
    Engine(env.stores).write(env.scope, Batch(Op.ADD, list(WORDS), documents=list(WORDS)))
    report = env.run(replace(REQUEST, queries=["amber", "dune"], k=3))
    assert report.overlap is not None
    assert (report.overlap.mean, report.overlap.queries) == (1.0, 2), "the same function has the same neighbours"


def test_a_second_run_takes_over(env: Environment) -> None:
    env.add("a", "b")
    runs: list[ReembedReport] = []

    def second() -> None:
        if len(env.embedder.texts) > 1 and not runs:
            env.embedder.meanwhile = lambda: None
            runs.append(env.run())

    env.embedder.meanwhile = second
    with pytest.raises(WriteConflict, match="this one stops"):
        env.run()
    assert runs[0].is_swapped
    require_vectors(env.stores)


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_interrupted_it_goes_on(env: Environment, fault: Fault) -> None:
    env.add("a", "b", "c", metadatas=[{"x": 1}, None, None])
    expected, number = env.named(), 0
    for number in range(400):
        if number % 7 == 0:
            env.add(f"w{number}")
            expected = env.named()
        try:
            env.run(replace(REQUEST, samples=1), with_faults(env.stores, Faults(nth(number, fault))))
        except Crash:
            pass
        assert env.named() == expected
        if collections.by_id(env.stores.table, env.scope.collection) is None:
            break
    assert number > 20
    require_vectors(env.stores)
    env.run()
    assert env.named() == expected


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST, Fault.REPEATED])
def test_calls_that_fail(env: Environment, fault: Fault) -> None:
    for number in range(400):
        name = f"books-{number}"
        env.scope, _ = new_collection(env.stores, name)
        env.add("a", "b", "c", metadatas=[{"x": 1}, None, None])
        expected, faults = env.named(name), Faults(nth(number, fault))
        request = replace(REQUEST, name=name, samples=1)
        try:
            env.run(request, with_faults(env.stores, faults))
        except AfterglowError:
            assert env.named(name) == expected
            env.run(request)
        assert env.named(name) == expected
        require_vectors(env.stores, name)
        if number >= len(faults.calls):
            break
    assert number > 20
