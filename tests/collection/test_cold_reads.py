"""A reader with an empty cache, over a clustered collection: what each operation reads, and in how many rounds."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from afterglow.collection import Engine
from afterglow.collection.read.search_request import Search, SparseKnn
from afterglow.collection.read.sparse_knn import SparseQuery
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, ReadLevel, Scope, Selection
from afterglow.filters.parse import parse_where
from afterglow.jobs.indexer import index
from afterglow.log import read as log
from afterglow.log.batch import Batch, Op
from afterglow.ranking.ast import KnnScore
from afterglow.segment import manifest as manifests
from afterglow.settings import Settings
from afterglow.storage.ports import Stores
from tests.costs.cold_reads import DIMENSION, EXPECTED, ROWS, Expected
from tests.support.remote import StrictObjects
from tests.support.stores import new_collection, quick_folder, stores_at

EVERYTHING = frozenset(Include)


@dataclass(frozen=True)
class Collection:
    """A collection of one clustered segment and, unless they are deleted or changed, its rows in the order of ids."""

    stores: Stores
    scope: Scope
    vectors: NDArray[np.float32]

    def cold(self) -> tuple[Engine, StrictObjects]:
        """A reader that has nothing yet."""
        objects = StrictObjects(self.stores.objects)
        return Engine(replace(self.stores, objects=objects)), objects


@pytest.fixture(scope="module")
def collection() -> Iterator[Collection]:
    settings = Settings(hnsw_min_rows=1_000, compaction_threads=1, index="lists")
    source = np.random.default_rng(7)
    centres = source.normal(size=(60, DIMENSION))
    vectors = (centres[np.arange(ROWS) % 60] + source.normal(size=(ROWS, DIMENSION)) / 3).astype(np.float32)
    with quick_folder() as folder:
        stores = stores_at(folder, settings)
        scope, state = new_collection(stores)
        names = list(map(str, range(ROWS)))
        metadatas = [{"n": number} for number in range(ROWS)]
        documents = [f"document {number}" for number in range(ROWS)]
        Engine(stores).write(scope, Batch(Op.ADD, names, vectors, documents=documents, metadatas=metadatas))
        index(stores, Replica.for_indexer(stores, state.id), state.id, idle=True)
        yield Collection(stores, scope, vectors)
        stores.table.close()


def roles(keys: Any) -> list[str]:
    return sorted({key.rpartition("/")[2].partition("-")[0] for key in keys if "/segments/" in key})


def query(engine: Engine, scope: Scope, vector: NDArray[np.float32], where: Any = None, k: int = 10) -> list[str]:
    (result,) = engine.query(scope, vector[None], k, Selection(where=parse_where(where)), EVERYTHING)
    records = result.records
    assert records.documents is not None
    assert records.metadatas is not None
    assert records.embeddings is not None
    for name, document, metadata in zip(records.ids, records.documents, records.metadatas, strict=True):
        assert document == f"document {name}"
        assert metadata == b'{"n":%d}' % int(name)
    assert len(records.embeddings) == len(records.ids)
    return records.ids


def test_a_query_reads_centroids_then_lists_then_vectors_and_records(collection: Collection) -> None:
    engine, objects = collection.cold()
    found = query(engine, collection.scope, collection.vectors[17])
    assert found[0] == "17"
    assert [roles(bytes_of) for bytes_of in objects.rounds] == [["centroids"], ["lists"], ["records", "vectors"]]
    assert objects.downloads == []
    assert sum(sum(bytes_of.values()) for bytes_of in objects.rounds) < 0.6 * sum(
        info.size for info in collection.stores.objects.list("") if "/segments/" in info.key
    )
    objects.rounds.clear()
    assert query(engine, collection.scope, collection.vectors[17]) == found
    assert objects.rounds == [], "everything is there"


def test_cold_answers_equal_those_of_an_exact_search(collection: Collection) -> None:
    engine, _ = collection.cold()
    hits = 0
    for number in range(0, 400, 10):
        vector = collection.vectors[number] + np.float32(0.05)
        distances = ((collection.vectors - vector) ** 2).sum(axis=1)
        hits += len(set(query(engine, collection.scope, vector)) & set(map(str, np.argsort(distances)[:10].tolist())))
    assert hits >= 0.95 * 400


@pytest.mark.parametrize("limit", [1, 40, 2_000])
def test_a_filter_reads_its_columns_alone(collection: Collection, limit: int) -> None:
    engine, objects = collection.cold()
    found = query(engine, collection.scope, collection.vectors[0], {"n": {"$lt": limit}})
    assert len(found) == min(limit, 10)
    assert all(int(name) < limit for name in found)
    assert objects.downloads == []
    rounds = [roles(bytes_of) for bytes_of in objects.rounds]
    found_by = ["covering"] if limit < ROWS / 5 else ["lists"]
    assert rounds == [["centroids", "contents"], ["narrow"], found_by, ["records", "vectors"]]
    (column,) = (sum(bytes_of.values()) for bytes_of in objects.rounds if roles(bytes_of) == ["narrow"])
    assert column < 2 * ROWS + 2 * 16_384


Read = Callable[[Engine, Collection], Any]
LATE = Selection(where=parse_where({"n": {"$gte": ROWS - 20}}))


def get(selection: Selection, limit: int | None = None, offset: int = 0) -> Read:
    return lambda engine, collection: engine.get(collection.scope, selection, limit, offset, EVERYTHING).metadatas


def page(limit: int, offset: int) -> Read:
    fields = frozenset({Include.DOCUMENTS})
    return lambda engine, collection: engine.get(collection.scope, Selection(), limit, offset, fields).documents


READS: dict[str, Read] = {
    "query": lambda engine, collection: query(engine, collection.scope, collection.vectors[17]),
    "query with a filter": lambda engine, collection: query(
        engine, collection.scope, collection.vectors[0], {"n": {"$lt": 2_000}}
    ),
    "query with a selective filter": lambda engine, collection: query(
        engine, collection.scope, collection.vectors[0], {"n": {"$lt": 40}}
    ),
    "count": lambda engine, collection: engine.count(collection.scope).count,
    "count with a filter": lambda engine, collection: engine.count_selected(collection.scope, LATE).count,
    "get by ids": get(Selection(["5", "17", "no"])),
    "page": page(100, 2_000),
    "last page": get(Selection(), 100, ROWS - 3),
    "page beyond the end": get(Selection(), 10, ROWS),
    "get by filter": get(LATE, 10, 3),
}


@pytest.mark.parametrize("name", READS)
def test_a_cold_read_takes_the_rounds_of_its_table(collection: Collection, name: str) -> None:
    engine, objects = collection.cold()
    assert READS[name](engine, collection) == READS[name](Engine(collection.stores), collection)
    assert_takes(objects, EXPECTED[name])


def assert_takes(objects: StrictObjects, expected: Expected) -> None:
    assert objects.downloads == []
    assert [roles(bytes_of) for bytes_of in objects.rounds] == expected.rounds
    assert sum(sum(bytes_of.values()) for bytes_of in objects.rounds) <= expected.byte_size


def test_the_log_is_read_while_the_checkpoint_is_opened(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = StrictObjects(collection.stores.objects)
    meeting = threading.Barrier(2, timeout=60)
    opened, read = manifests.load, log.read_after

    # Engines that other tests of this process have opened may be at work, too.
    def open_manifest(store: Any, key: str) -> Any:
        if store is objects:
            meeting.wait()
        return opened(store, key)

    def read_log(table: Any, identity: UUID, after: int) -> Any:
        if identity == collection.scope.collection:
            meeting.wait()
        return read(table, identity, after)

    monkeypatch.setattr(manifests, "load", open_manifest)
    monkeypatch.setattr(log, "read_after", read_log)
    assert Engine(replace(collection.stores, objects=objects)).count(collection.scope).count == ROWS
    assert meeting.n_waiting == 0, "neither is read twice"


def test_updates_and_deletions_of_clustered_rows(collection: Collection) -> None:
    with quick_folder() as folder:
        settings = collection.stores.settings
        stores = stores_at(folder, settings)
        scope, state = new_collection(stores)
        names = list(map(str, range(ROWS)))
        writer = Engine(stores)
        writer.write(scope, Batch(Op.ADD, names, collection.vectors))
        index(stores, Replica.for_indexer(stores, state.id), state.id, idle=True)
        objects = StrictObjects(stores.objects)
        engine = Engine(replace(stores, objects=objects))
        engine.delete(scope, Selection(["17", "18"]))
        fresh = StrictObjects(stores.objects)
        assert Engine(replace(stores, objects=fresh)).count(scope).count == ROWS - 2
        assert_takes(fresh, EXPECTED["delete of 2 records"])
        engine.write(scope, Batch(Op.UPDATE, ["19"], documents=["new"]))
        fresh = StrictObjects(stores.objects)
        assert Engine(replace(stores, objects=fresh)).count(scope).count == ROWS - 2
        assert_takes(fresh, EXPECTED["update of 1 record"])
        engine.write(scope, Batch(Op.UPSERT, ["20"], -collection.vectors[20:21]))
        for reader in (engine, Engine(replace(stores, objects=StrictObjects(stores.objects)))):
            assert reader.count(scope).count == ROWS - 2
            (result,) = reader.query(scope, collection.vectors[17:18], 5, Selection(), EVERYTHING)
            assert not {"17", "18"} & set(result.records.ids)
            assert reader.get(scope, Selection(["19"]), None, 0, EVERYTHING).documents == ["new"]
            (result,) = reader.query(scope, -collection.vectors[20:21], 1, Selection(), EVERYTHING)
            assert result.records.ids == ["20"]
        stores.table.close()


@pytest.mark.slow
def test_many_small_writes_are_applied_in_a_few_rounds(collection: Collection) -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, collection.stores.settings)
        scope, state = new_collection(stores)
        writer = Engine(stores)
        writer.write(scope, Batch(Op.ADD, list(map(str, range(ROWS))), collection.vectors))
        index(stores, Replica.for_indexer(stores, state.id), state.id, idle=True)
        for number in range(30):
            name = str(97 * number)
            writer.write(scope, Batch(Op.UPDATE, [name], documents=["new"]))
            writer.write(scope, Batch(Op.ADD, [name, f"added {number}"], collection.vectors[:2]))
            writer.delete(scope, Selection([str(97 * number + 1)]))
        objects = StrictObjects(stores.objects)
        engine = Engine(replace(stores, objects=objects))
        assert engine.count(scope).count == ROWS
        assert_takes(objects, EXPECTED["90 small writes"])
        objects.rounds.clear()
        names = [str(97 * number) for number in range(30)]
        assert engine.get(scope, Selection([*names, "1"]), None, 0, EVERYTHING).documents == ["new"] * 30
        assert engine.get(scope, Selection(["added 3"]), None, 0, EVERYTHING).ids == ["added 3"]
        stores.table.close()


def test_a_sparse_search_reads_the_lists_of_its_dimensions(collection: Collection) -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, collection.stores.settings)
        scope, state = new_collection(stores, sparse={"s": True})
        terms = np.random.default_rng(5).integers(0, 300, size=(ROWS, 4))
        metadatas = [
            {"s": {"#type": "sparse_vector", "indices": sorted({*row}), "values": [1.0] * len({*row})}}
            for row in terms.tolist()
        ]
        metadatas[7] = {}
        names = list(map(str, range(ROWS)))
        Engine(stores).write(scope, Batch(Op.ADD, names, collection.vectors, metadatas=metadatas))
        index(stores, Replica.for_indexer(stores, state.id), state.id, idle=True)
        query = SparseQuery(np.array([3, 17, 900], dtype=np.uint32), np.ones(3, dtype=np.float32))
        search = Search(
            rank=KnnScore(0), knn=(SparseKnn("s", query, 10),), limit=10, include=frozenset({Include.METADATAS})
        )
        objects = StrictObjects(stores.objects)
        (found,) = Engine(replace(stores, objects=objects)).search(scope, [search], ReadLevel.INDEX_AND_WAL)
        expected = [name for name, row in zip(names, terms.tolist(), strict=True) if {3, 17} <= {*row}]
        assert set(found.records.ids) >= set(expected)
        assert len(found.records.ids) == 10
        assert objects.downloads == []
        assert [roles(bytes_of) for bytes_of in objects.rounds] == [
            ["contents"],
            ["postings"],
            ["postings"],
            ["rows"],
            ["places"],
            ["records"],
        ]
        stores.table.close()
