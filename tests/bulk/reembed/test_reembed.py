"""Collections that are moved to another embedding function: what clients have before, meanwhile and afterwards."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from threading import Event
from typing import Any

import numpy as np
import orjson
import pytest
import xxhash

from afterglow.bulk.reembed.progress import copy_name
from afterglow.bulk.reembed.run import ReembedReport, ReembedRequest, reembed
from afterglow.catalog import collections, keys
from afterglow.collection import Batch, Engine, Op
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, Scope, Selection
from afterglow.embedding.embedder import Embedded, Purpose
from afterglow.errors import AfterglowError, AlreadyExists, Busy, InvalidArgument, NotFound, WriteConflict
from afterglow.jobs import restore
from afterglow.jobs.indexer import index
from afterglow.storage.ports import Delete, Stores
from afterglow.storage.ports import Write as TableWrite
from tests.log.collection_log import CostlyTransactions
from tests.support.faulty import Crash, Fault, Faults, FaultyTable, nth
from tests.support.stores import SMALL, new_collection, quick_folder, stores_at, with_faults

TENANT, DATABASE, NAME = "default_tenant", "default_database", "books"
REQUEST = ReembedRequest(TENANT, DATABASE, NAME)
FIELDS = frozenset({Include.DOCUMENTS, Include.METADATAS, Include.URIS, Include.EMBEDDINGS})
DIMENSION = 4
WORDS = ["amber", "blue", "coral", "dune", "ebony", "fern"]

Record = tuple[str | None, dict[str, Any], str | None]


def vector(text: str) -> np.ndarray:
    return np.random.default_rng(xxhash.xxh3_64_intdigest(text.encode())).standard_normal(DIMENSION).astype(np.float32)


class HashEmbedder:
    """Vectors that depend on the text alone; `meanwhile` is called before each call."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def embed(self, texts: Sequence[str], _purpose: Purpose, _deadline: float, /) -> Embedded:
        self.texts += texts
        self.meanwhile()
        return Embedded(np.stack([vector(text) for text in texts]))

    def close(self) -> None:
        pass


@dataclass
class Environment:
    stores: Stores
    scope: Scope
    embedder: HashEmbedder

    def run(self, request: ReembedRequest = REQUEST, stores: Stores | None = None) -> ReembedReport:
        return reembed(Engine(stores or self.stores), request)

    def add(self, *names: str, **fields: Any) -> None:
        write(self.stores, self.scope, Op.UPSERT, names, **fields)

    def named(self, name: str = NAME) -> dict[str, Record]:
        return contents(self.stores, Engine(self.stores).get_collection(TENANT, DATABASE, name).id)

    def settle(self, scope: Scope | None = None) -> None:
        collection = (scope or self.scope).collection
        index(self.stores, Replica.for_indexer(self.stores, collection), collection, idle=True)


def write(stores: Stores, scope: Scope, op: Op, names: Sequence[str], **fields: Any) -> None:
    batch = Batch(op, list(names), np.zeros((len(names), 3), np.float32), documents=[f"text of {n}" for n in names])
    Engine(stores).write(scope, replace(batch, **fields))


def contents(stores: Stores, collection: Any) -> dict[str, Record]:
    """The records in insertion order."""
    found = Engine(stores).get(Scope(TENANT, DATABASE, collection), Selection(), None, 0, FIELDS)
    metadatas = [orjson.loads(value) if value else {} for value in found.metadatas or []]
    records = zip(found.ids, found.documents or [], metadatas, found.uris or [], strict=True)
    return {name: (text, metadata, uri) for name, text, metadata, uri in records}


def require_vectors(stores: Stores, name: str = NAME) -> None:
    """Each record has the vector of its document."""
    engine = Engine(stores)
    collection = engine.get_collection(TENANT, DATABASE, name)
    found = engine.get(Scope(TENANT, DATABASE, collection.id), Selection(), None, 0, FIELDS)
    assert collection.dimension == DIMENSION or not found.ids
    assert found.embeddings is not None
    for text, present in zip(found.documents or [], found.embeddings, strict=True):
        assert np.array_equal(present, vector(text or ""))


@contextmanager
def environment(embedder: HashEmbedder) -> Iterator[Environment]:
    with quick_folder() as folder:
        stores = stores_at(folder, SMALL)
        scope, _ = new_collection(stores, NAME, metadata={"about": "books"})
        yield Environment(stores, scope, embedder)
        stores.table.close()


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> HashEmbedder:
    embedder = HashEmbedder()
    monkeypatch.setattr("afterglow.embedding.local_model.LocalModel", lambda _settings, _system: embedder)
    return embedder


@pytest.fixture
def env(embedder: HashEmbedder) -> Iterator[Environment]:
    with environment(embedder) as made:
        yield made


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
