"""Reads that are over at once are answered on the event loop; whatever may take long leaves it free."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.api.v2 import records, search
from afterglow.catalog import schema
from afterglow.collection import Batch, Engine, Op
from afterglow.collection.types import Scope
from afterglow.deployment.base import NullQueue
from afterglow.deployment.local import open_local
from afterglow.settings import Settings, System
from tests.support.stores import ManualClock

TENANT, DATABASE = "default_tenant", "default_database"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def service(tmp_path: Path, clock: ManualClock) -> Iterator[AppContext]:
    system = System(now=clock.now, monotonic=clock.now)
    place, settings = open_local(tmp_path, system), Settings()
    engine = Engine(place.stores(settings, system, NullQueue()))
    engine.catalog.ensure_defaults()
    yield AppContext(engine, settings, system, allow_reset=False, threads=1)
    engine.close()


@pytest.fixture
def path(service: AppContext) -> dict[str, str]:
    created = service.engine.create_collection(TENANT, DATABASE, "weighed", None, schema.reconcile(None, None, None))
    batch = Batch(Op.ADD, ["a", "b"], np.eye(2, dtype=np.float32), documents=["one", "two"])
    service.engine.write(Scope(TENANT, DATABASE, created.id), batch)
    return {"tenant": TENANT, "database": DATABASE, "collection_id": str(created.id)}


def send_request(service: AppContext, path: dict[str, str], **fields: object) -> Response | Deferred:
    """What the handler makes of a query."""
    return records.query(service, Request(path, b"", orjson.dumps({"query_embeddings": [[1.0, 0.0]], **fields})))


def test_only_a_warm_collection_is_answered_at_once(
    service: AppContext, path: dict[str, str], clock: ManualClock
) -> None:
    first = send_request(service, path)
    assert isinstance(first, Deferred)
    response = first.work()
    assert send_request(service, path) == response
    clock.seconds += 2.0
    assert isinstance(send_request(service, path), Deferred)


@pytest.mark.parametrize(
    "fields",
    [
        {"where_document": {"$contains": "one"}},
        {"where": {"#document": {"$regex": "t.o"}}},
        {"n_results": 1_000},
        {"query_embeddings": [[1.0, 0.0]] * 50},
        {"query_embeddings": [[1.0, 0.0]], "ids": ["a"] * 20_000},
    ],
)
def test_what_may_take_long_leaves_the_loop_free(
    service: AppContext, path: dict[str, str], fields: dict[str, object]
) -> None:
    warm = send_request(service, path)
    assert isinstance(warm, Deferred)
    warm.work()
    assert isinstance(send_request(service, path), Response)
    later = send_request(service, path, **fields)
    assert isinstance(later, Deferred)
    assert later.work().body


def got(service: AppContext, path: dict[str, str], **fields: object) -> Response | Deferred:
    """What the handler makes of a get."""
    return records.get(service, Request(path, b"", orjson.dumps(fields)))


@pytest.mark.parametrize("fields", [{"ids": ["b", "a"]}, {"limit": 1, "offset": 1}, {"limit": 5, "where": {"n": 1}}])
def test_a_light_get_is_answered_at_once(service: AppContext, path: dict[str, str], fields: dict[str, object]) -> None:
    first = got(service, path, **fields)
    assert isinstance(first, Deferred)
    response = first.work()
    assert got(service, path, **fields) == response


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"where": {"n": 1}},
        {"limit": 1_000},
        {"ids": ["a"] * 1_000},
        {"ids": ["a"], "where_document": {"$contains": "one"}},
        {"limit": 5, "explain": True},
    ],
)
def test_what_may_take_long_to_get_leaves_the_loop_free(
    service: AppContext, path: dict[str, str], fields: dict[str, object]
) -> None:
    warm = got(service, path, limit=1)
    assert isinstance(warm, Deferred)
    warm.work()
    later = got(service, path, **fields)
    assert isinstance(later, Deferred)
    assert later.work().body


def searched(service: AppContext, path: dict[str, str], *searches: object) -> Response | Deferred:
    """What the handler makes of searches."""
    return search.search(service, Request(path, b"", orjson.dumps({"searches": searches})))


NEAR = {"$knn": {"query": [1.0, 0.0], "limit": 2}}
WORDS = {"$knn": {"query": {"indices": [1], "values": [1]}, "key": "words", "limit": 2}}


def test_a_light_search_is_answered_at_once(service: AppContext, path: dict[str, str]) -> None:
    first = searched(service, path, {"rank": NEAR})
    assert isinstance(first, Deferred)
    response = first.work()
    assert searched(service, path, {"rank": NEAR}) == response
    assert isinstance(searched(service, path, {"rank": {"$sum": [NEAR, NEAR]}, "filter": {"n": 1}}), Response)


@pytest.mark.parametrize(
    "searches",
    [
        [],
        [{}],
        [{"rank": NEAR}, {"rank": NEAR}],
        [{"rank": {"$knn": {"query": [1.0, 0.0], "limit": 1_000}}}],
        [{"rank": {"$sum": [NEAR, WORDS]}}],
        [{"rank": NEAR, "filter": {"#document": {"$contains": "one"}}}],
        [{"rank": NEAR, "filter": {"#id": {"$in": [str(item) for item in range(1_000)]}}}],
        [{"rank": NEAR, "group_by": {"keys": ["n"], "aggregate": {"$min_k": {"keys": ["n"], "k": 1}}}}],
    ],
    ids=lambda item: repr(item)[:60],
)
def test_what_may_take_long_to_search_leaves_the_loop_free(
    service: AppContext, path: dict[str, str], searches: list[object]
) -> None:
    warm = searched(service, path, {"rank": NEAR})
    assert isinstance(warm, Deferred)
    warm.work()
    assert isinstance(searched(service, path, {"rank": NEAR}), Response)
    assert isinstance(searched(service, path, *searches), Deferred)
