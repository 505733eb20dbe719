"""The record calls of the embedded client, which bypass HTTP, agree with chromadb's own calls over HTTP."""

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.api.fastapi import FastAPI
from chromadb.base_types import SparseVector

import afterglow
from afterglow.embedded.chroma_api import Server

INF, NAN = float("inf"), float("nan")
EVERYTHING = ["documents", "embeddings", "metadatas", "uris", "distances"]


class Twins:
    """The same collection twice: one is called directly, the other over HTTP."""

    def __init__(self, client: Any) -> None:
        self.server: Server = client._server
        self.direct, self.http = (
            client.create_collection(f"twin-{uuid.uuid4()}", embedding_function=None).id for _ in range(2)
        )

    def outcomes(self, name: str, **arguments: Any) -> tuple[Any, Any]:
        """What both calls return or raise."""

        def run(call: Callable[..., Any], collection: uuid.UUID) -> Any:
            given = dict(arguments)
            try:
                return call(collection_id=given.pop("collection", collection), **given)
            except Exception as error:  # noqa: BLE001 - whatever the client raises
                return type(error).__name__, str(error).replace(str(collection), "ID").partition(" (trace ID")[0]

        ours = run(getattr(self.server, name), self.direct)
        return ours, run(getattr(FastAPI, name).__get__(self.server), self.http)

    def agree(self, name: str, **arguments: Any) -> Any:
        ours, http = self.outcomes(name, **arguments)
        assert plain(ours) == plain(http)
        return ours


def plain(value: Any) -> Any:
    """A result with vectors as float32, which is what is stored."""
    if isinstance(value, dict):
        return {key: vectors(item) if key == "embeddings" else plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return vars(value) if isinstance(value, SparseVector) else value


def vectors(value: Any) -> Any:
    return None if value is None else [np.asarray(rows, dtype=np.float32).tolist() for rows in value]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with afterglow.EphemeralClient() as opened:
        yield opened


@pytest.fixture
def twins(client: Any) -> Twins:
    twins = Twins(client)
    source = np.random.default_rng(1)
    twins.agree(
        "_add",
        ids=["a", "b", "c", "d"],
        embeddings=list(source.normal(size=(4, 3)).astype(np.float32)),
        documents=["one", None, "drei ß", ""],
        metadatas=[
            {"n": 1, "f": 0.1, "l": ["x"]},
            None,
            {"s": SparseVector(indices=[1, 5], values=[0.5, 2.0])},
            {"b": True},
        ],
        uris=[None, "file:x", None, None],
    )
    return twins


@pytest.mark.parametrize("include", [EVERYTHING, [], ["distances"], ["embeddings", "data"], ["documents", "metadatas"]])
def test_queries(twins: Twins, include: list[str]) -> None:
    asked = list(np.random.default_rng(2).normal(size=(3, 3)))
    for more in (
        {},
        {"n_results": 2},
        {"ids": ["a", "c"]},
        {"where": {"n": 1}},
        {"where_document": {"$contains": "e"}},
    ):
        result = twins.agree("_query", query_embeddings=asked, include=include, **more)
        assert len(result["ids"]) == 3
        assert result["ids"][0]


@pytest.mark.parametrize("include", [EVERYTHING[:-1], [], ["embeddings"], ["documents", "data"]])
def test_gets(twins: Twins, include: list[str]) -> None:
    for more in ({}, {"limit": 2, "offset": 1}, {"ids": ["d", "a", "missing"]}, {"where": {"n": {"$gte": 5}}}):
        twins.agree("_get", include=include, **more)
    assert twins.agree("_get", include=include)["ids"] == ["a", "b", "c", "d"]


def test_updates_and_upserts(twins: Twins) -> None:
    twins.agree("_update", ids=["a", "missing"], metadatas=[{"n": None, "new": "x"}, None])
    twins.agree("_update", ids=["b"], embeddings=[np.array([1, 2, 3])], documents=["changed"])
    twins.agree("_upsert", ids=["c", "e"], embeddings=[np.zeros(3), np.ones(3, dtype=np.float16)], uris=["u", None])
    twins.agree("_upsert", ids=[], embeddings=[])
    assert twins.agree("_get", include=EVERYTHING[:-1])["ids"] == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("_query", {"query_embeddings": [np.ones(2)]}),
        ("_query", {"query_embeddings": [np.ones(3), np.ones(2)]}),
        ("_query", {"query_embeddings": [np.array([1.0, NAN, 2.0])]}),
        ("_query", {"query_embeddings": [np.ones(3), np.array([1.0, 2.0, -INF])]}),
        ("_query", {"query_embeddings": [np.array([1e300, 0.0, 0.0])]}),
        ("_query", {"query_embeddings": []}),
        ("_query", {"query_embeddings": [np.ones(3)], "n_results": -1}),
        ("_query", {"query_embeddings": [np.ones(3)], "n_results": 0}),
        ("_query", {"query_embeddings": [np.ones(3)], "include": ["nonsense"]}),
        ("_query", {"query_embeddings": [np.ones(3)], "where": {"$nonsense": 1}}),
        ("_query", {"query_embeddings": [np.ones(3)], "where_document": {"$regex": "("}}),
        ("_query", {"query_embeddings": [np.ones(3)], "collection": uuid.UUID(int=7)}),
        ("_query", {"query_embeddings": [np.ones(3)], "where": {"$nonsense": 1}, "collection": uuid.UUID(int=7)}),
        ("_query", {"query_embeddings": [np.ones(3)], "tenant": "other"}),
        ("_get", {"limit": -1}),
        ("_get", {"include": ["nonsense"]}),
        ("_get", {"where": {"n": []}}),
        ("_get", {"collection": uuid.UUID(int=7)}),
        ("_get", {"database": "another"}),
        ("_add", {"ids": ["x"], "embeddings": [np.ones(2)]}),
        ("_add", {"ids": ["x"], "embeddings": [np.array([1.0, NAN, 0.0])]}),
        ("_add", {"ids": ["x"], "embeddings": [np.array([1.0, 1e300, 0.0])]}),
        ("_add", {"ids": ["x"], "embeddings": [np.array([])]}),
        ("_add", {"ids": ["x", "y"], "embeddings": [np.ones(3)]}),
        ("_add", {"ids": ["x"], "embeddings": [np.ones(3)], "documents": ["a", "b"]}),
        ("_add", {"ids": [""], "embeddings": [np.ones(3)]}),
        ("_add", {"ids": [1], "embeddings": [np.ones(3)]}),
        ("_add", {"ids": ["x"], "embeddings": [np.ones(3)], "metadatas": [{"chroma:x": 1}]}),
        ("_add", {"ids": ["x"], "embeddings": [np.ones(3)], "metadatas": [{"x": {"y": 1}}]}),
        ("_add", {"ids": ["x"], "embeddings": [np.ones(3)], "metadatas": [{"x": NAN}]}),
        ("_add", {"ids": ["x"], "embeddings": None}),
        ("_update", {"ids": ["a"], "embeddings": [np.ones(2)]}),
        ("_update", {"ids": ["a"], "embeddings": [np.ones(3)], "collection": uuid.UUID(int=7)}),
        ("_add", {"ids": ["x"] * 6_000, "embeddings": [np.ones(3)] * 6_000}),
    ],
    ids=lambda item: str(item)[:70],
)
def test_errors_are_those_over_http(twins: Twins, name: str, arguments: dict[str, Any]) -> None:
    twins.agree(name, **arguments)
    assert twins.agree("_get")["ids"] == ["a", "b", "c", "d"]


def test_the_types_are_those_of_chromadb(client: Any) -> None:
    collection = client.create_collection("typed", embedding_function=None)
    collection.add(ids=["a"], embeddings=[1.0, 2.0], metadatas=[{"n": 1}])
    found = collection.query(query_embeddings=[1.0, 2.5], include=EVERYTHING)
    assert type(found["distances"][0][0]) is float
    assert found["embeddings"][0].dtype == np.float64
    assert collection.get(include=["embeddings"])["embeddings"].shape == (1, 2)
    assert collection.get(ids=["none"], include=["embeddings"])["embeddings"].shape == (0,)


def test_closing_waits_for_a_call(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = afterglow.PersistentClient(tmp_path)
    collection: chromadb.Collection = client.create_collection("slow", embedding_function=None)
    collection.add(ids=["a"], embeddings=[1.0])
    began, goes_on, results = threading.Event(), threading.Event(), []
    engine = client._engine.context.engine
    query = engine.query

    def slow_query(*arguments: Any, **more: Any) -> Any:
        began.set()
        assert goes_on.wait(20)
        return query(*arguments, **more)

    monkeypatch.setattr(engine, "query", slow_query)
    reader = threading.Thread(target=lambda: results.append(collection.query(query_embeddings=[1.0])["ids"]))
    reader.start()
    assert began.wait(20)
    closer = threading.Thread(target=client.close)
    closer.start()
    closer.join(0.2)
    assert closer.is_alive()
    goes_on.set()
    reader.join(20)
    closer.join(20)
    assert results == [[["a"]]]
    with pytest.raises(RuntimeError, match="closed"):
        collection.query(query_embeddings=[1.0])
