"""One request takes a bounded amount of work and returns a bounded number of bytes; more is refused beforehand."""

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import pytest

from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.api.v2 import records, search
from afterglow.api.v2.record_responses import query_body
from afterglow.catalog import schema
from afterglow.collection import Batch, Engine, Op
from afterglow.collection.types import Include, Scope, Selection
from afterglow.deployment.base import NullQueue
from afterglow.deployment.local import open_local
from afterglow.errors import AfterglowError, LimitExceeded, ResponseTooLarge
from afterglow.settings import Settings, System
from tests.support.stores import ManualClock

TENANT, DATABASE = "default_tenant", "default_database"
DOCUMENT_BYTES = 300_000
RECORDS = 4
NEAR = {"$knn": {"query": [1.0, 0.0], "limit": 10}}

Handler = Callable[[AppContext, Request], Response | Deferred]


class Service:
    """Handlers over one collection of a few records with large documents."""

    def __init__(self, context: AppContext, path: dict[str, str]) -> None:
        self.context = context
        self.path = path

    def first(self, handler: Handler, **body: Any) -> Response | Deferred:
        """What the handler returns, which may be the rest of the work."""
        return handler(self.context, Request(self.path, b"", orjson.dumps(body)))

    def send(self, handler: Handler, **body: Any) -> Any:
        """The decoded response."""
        response = self.first(handler, **body)
        return orjson.loads(response.work().body if isinstance(response, Deferred) else response.body)


@contextmanager
def serve(folder: Path, settings: Settings) -> Iterator[Service]:
    clock = ManualClock()
    system = System(now=clock.now, monotonic=clock.now)
    engine = Engine(open_local(folder, system).stores(settings, system, NullQueue()))
    engine.catalog.ensure_defaults()
    created = engine.create_collection(TENANT, DATABASE, "bounded", None, schema.reconcile(None, None, None))
    ids = [f"id{number}" for number in range(RECORDS)]
    batch = Batch(
        Op.ADD,
        ids,
        np.eye(RECORDS, 2, dtype=np.float32),
        documents=["x" * DOCUMENT_BYTES] * RECORDS,
        metadatas=[{"n": number} for number in range(RECORDS)],
    )
    engine.write(Scope(TENANT, DATABASE, created.id), batch)
    context = AppContext(engine, settings, system, allow_reset=False, threads=1)
    yield Service(context, {"tenant": TENANT, "database": DATABASE, "collection_id": str(created.id)})
    engine.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serve(tmp_path, Settings(max_result_bytes=20 * DOCUMENT_BYTES)) as opened:
        yield opened


def test_many_queries_that_find_the_same_large_documents(service: Service) -> None:
    vectors = [[1.0, 0.0]] * 3
    with pytest.raises(
        ResponseTooLarge, match=r"the records take about 72\d{5} bytes of memory, .*AFTERGLOW_MAX_RESULT_BYTES"
    ):
        service.send(records.query, query_embeddings=vectors, n_results=4)
    assert len(service.send(records.query, query_embeddings=vectors, n_results=2)["ids"]) == 3
    assert len(service.send(records.query, query_embeddings=vectors, n_results=4, include=["metadatas"])["ids"]) == 3


def test_many_searches_that_find_the_same_large_documents(service: Service) -> None:
    one = {"rank": NEAR, "select": {"keys": ["#document"]}}
    with pytest.raises(ResponseTooLarge):
        service.send(search.search, searches=[one] * 3)
    assert len(service.send(search.search, searches=[one] * 2)["ids"]) == 2
    assert len(service.send(search.search, searches=[{"rank": NEAR}] * 9)["ids"]) == 9


def test_searches_that_select_many_keys_that_no_record_has(tmp_path: Path) -> None:
    with serve(tmp_path, Settings()) as service:
        ids = [f"more{number}" for number in range(1_000)]
        more = Batch(Op.ADD, ids, np.ones((1_000, 2), np.float32), metadatas=[{"n": 1, "m": 2}] * 1_000)
        scope = Scope(TENANT, DATABASE, UUID(service.path["collection_id"]))
        service.context.engine.write(scope, more)
        keys = ["n", *(f"key{number}" for number in range(50_000))]
        one = {"rank": {"$knn": {"query": [1.0, 0.0], "limit": 1_000}}, "select": {"keys": keys}}
        started = time.process_time()
        response = service.send(search.search, searches=[one] * 4)
        assert time.process_time() - started < 2, "it takes ten times as long if each record is compared with each key"
        assert {"n": 1} in response["metadatas"][3]


def test_a_get_of_too_much_is_refused_and_its_pages_are_not(tmp_path: Path) -> None:
    with serve(tmp_path, Settings(max_result_bytes=6 * DOCUMENT_BYTES)) as service:
        with pytest.raises(ResponseTooLarge):
            service.send(records.get)
        pages = [service.send(records.get, limit=2, offset=offset)["ids"] for offset in (0, 2)]
        assert pages == [["id0", "id1"], ["id2", "id3"]]
        assert service.send(records.get, include=[])["ids"] == ["id0", "id1", "id2", "id3"]


def test_hits_are_bounded_before_the_search(service: Service) -> None:
    service.context.engine._limits = type(service.context.engine._limits)(10.0, result_bytes=2_000)
    with pytest.raises(ResponseTooLarge):
        service.send(records.query, query_embeddings=[[1.0, 0.0]] * 10, n_results=4, include=[])
    assert service.send(records.query, query_embeddings=[[1.0, 0.0]] * 10, n_results=1, include=[])["ids"]


@pytest.mark.parametrize("length", [1, 20, 2_000])
@pytest.mark.parametrize(
    "include", [(), ("distances",), ("documents", "metadatas", "uris", "distances"), ("embeddings",)]
)
def test_the_memory_of_a_read_is_within_its_estimate(tmp_path: Path, include: tuple[str, ...], length: int) -> None:
    """Every hit of many vectors: search, records and response together."""
    rows, queries = 500, 10 if length > 20 else 40
    with serve(tmp_path, Settings()) as service:
        vectors = np.random.default_rng(1).normal(size=(rows, 2)).astype(np.float32)
        texts = ["x" * length] * rows
        metadatas = [{"text": "y" * length}] * rows
        more = Batch(
            Op.ADD, [f"more{n}" for n in range(rows)], vectors, documents=texts, metadatas=metadatas, uris=texts
        )
        scope, engine = Scope(TENANT, DATABASE, UUID(service.path["collection_id"])), service.context.engine
        engine.write(scope, more)
        engine.delete(scope, Selection([f"id{number}" for number in range(RECORDS)]))
        included = frozenset(map(Include, include))

        def peak(count: int) -> tuple[int, int]:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            hits = engine.find(scope, vectors[:count], rows, Selection(), included)
            query_body(hits.read(), include)
            return tracemalloc.get_traced_memory()[1] - before, hits.byte_size

        tracemalloc.start()
        try:
            peak(1)
            used, estimated = peak(queries)
        finally:
            tracemalloc.stop()
        assert used < 1.1 * estimated
        assert estimated < 3 * used


def test_without_a_limit_everything_is_returned(tmp_path: Path) -> None:
    with serve(tmp_path, Settings(max_result_bytes=0)) as service:
        assert len(service.send(records.get)["documents"]) == RECORDS


def test_a_delete_by_filter_returns_no_records_and_has_no_such_limit(tmp_path: Path) -> None:
    with serve(tmp_path, Settings(max_result_bytes=1)) as service:
        assert service.send(records.delete, where={"n": {"$gte": 1}}) == {"deleted": RECORDS - 1}


def conditions(count: int) -> dict[str, Any]:
    return {"$or": [{"n": number} for number in range(count - 1)]}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"where": conditions(51)}, "too many conditions"),
        ({"where": {"$and": [conditions(25), conditions(25)]}}, "too many conditions"),
        ({"where_document": {"$or": [{"$contains": str(number)} for number in range(50)]}}, "too many conditions"),
        ({"where": {"n": {"$in": list(range(31))}}}, "too many values"),
        ({"where": {"$or": [{"n": {"$nin": list(range(16))}}] * 2}}, "too many values"),
        ({"where_document": {"$or": [{"$regex": "a" * 16_000}] * 5}}, "regular expressions"),
        ({"where": {"$or": [{"n": {"$not_regex": "a" * 16_000}}] * 5}}, "regular expressions"),
    ],
    ids=lambda item: repr(item)[:50],
)
@pytest.mark.parametrize("handler", [records.get, records.query, records.delete])
def test_filters_over_the_limits(tmp_path: Path, handler: Handler, body: dict[str, Any], text: str) -> None:
    vectors = {"query_embeddings": [[1.0, 0.0]]} if handler is records.query else {}
    with (
        serve(tmp_path, Settings(max_filter_conditions=50, max_filter_values=30)) as service,
        pytest.raises(LimitExceeded, match=text),
    ):
        service.send(handler, **vectors, **body)


def test_filters_within_the_limits(tmp_path: Path) -> None:
    with serve(tmp_path, Settings(max_filter_conditions=50, max_filter_values=30)) as service:
        assert len(service.send(records.get, where=conditions(50), include=[])["ids"]) == RECORDS
        assert len(service.send(records.get, where={"n": {"$in": list(range(30))}}, include=[])["ids"]) == RECORDS


def test_the_filters_of_all_searches_count_together(tmp_path: Path) -> None:
    with serve(tmp_path, Settings(max_filter_conditions=50)) as service:
        assert service.send(search.search, searches=[{"filter": conditions(25)}] * 2)["ids"]
        with pytest.raises(LimitExceeded):
            service.send(search.search, searches=[{"filter": conditions(25)}] * 3)


def test_vectors_over_the_limit(tmp_path: Path) -> None:
    with serve(tmp_path, Settings(max_query_vectors=3)) as service:
        assert len(service.send(records.query, query_embeddings=[[1.0, 0.0]] * 3, include=[])["ids"]) == 3
        with pytest.raises(LimitExceeded, match="query_embeddings has 4 items, one query may have 3"):
            service.send(records.query, query_embeddings=[[1.0, 0.0]] * 4)


SPARSE_TERMS = {"indices": list(range(1_000)), "values": [1.0] * 1_000}


@pytest.mark.parametrize(
    ("handler", "allowed", "refused"),
    [
        (records.query, {"query_embeddings": [[1.0, 0.0]]}, {"query_embeddings": [[1.0, 0.0]] * 2}),
        (records.get, {"where": conditions(17)}, {"where": conditions(18)}),
        (records.delete, {"where": conditions(17)}, {"where": conditions(18)}),
        (search.search, {"searches": [{"filter": {"n": 1}}]}, {"searches": [{"rank": NEAR}] * 2}),
        (
            search.search,
            {"searches": [{"filter": {"n": 1}}]},
            {
                "searches": [
                    {"rank": NEAR, "group_by": {"keys": ["n"], "aggregate": {"$min_k": {"keys": ["n"], "k": 1}}}}
                ]
            },
        ),
    ],
    ids=["vectors", "conditions of a get", "conditions of a delete", "searches", "groups"],
)
def test_work_beyond_the_time_is_refused_but_a_plain_read_never(
    tmp_path: Path, handler: Handler, allowed: dict[str, Any], refused: dict[str, Any]
) -> None:
    with serve(tmp_path, Settings(max_read_seconds=1e-9)) as service:
        with pytest.raises(LimitExceeded, match="AFTERGLOW_MAX_READ_SECONDS"):
            service.send(handler, **refused)
        service.send(handler, **allowed)


def test_large_records_of_a_cheap_query_are_encoded_off_the_event_loop(service: Service) -> None:
    assert isinstance(service.first(records.query, query_embeddings=[[1.0, 0.0]], include=[]), Deferred)
    service.send(records.query, query_embeddings=[[1.0, 0.0]], include=[])
    assert isinstance(service.first(records.query, query_embeddings=[[1.0, 0.0]], include=[]), Response)
    large = service.first(records.query, query_embeddings=[[1.0, 0.0]], n_results=1)
    assert isinstance(large, Deferred)
    assert orjson.loads(large.work().body)["documents"] == [["x" * DOCUMENT_BYTES]]
    large = service.first(search.search, searches=[{"rank": NEAR, "select": {"keys": ["#document"]}}])
    assert isinstance(large, Deferred)
    assert len(orjson.loads(large.work().body)["documents"][0]) == RECORDS


def test_a_large_filter_is_not_parsed_on_the_event_loop(service: Service) -> None:
    service.send(records.query, query_embeddings=[[1.0, 0.0]], include=[])
    vectors = {"query_embeddings": [[1.0, 0.0]], "include": []}
    assert isinstance(service.first(records.query, **vectors, where=conditions(8)), Response)
    for body in ({"where": conditions(500)}, {"where_document": {"$regex": "("}}):
        assert isinstance(service.first(records.query, **vectors, **body), Deferred)
    with pytest.raises(AfterglowError, match="regex parse error"):
        service.send(records.query, **vectors, where_document={"$regex": "("})
