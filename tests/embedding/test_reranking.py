"""Searches that rerank, over HTTP: order, bounds, refusals, the explanation, and rights."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from afterglow.api.app import create_app
from afterglow.deployment.local import open_local
from afterglow.jobs.start import start_engine
from afterglow.settings import Settings, System
from tests.embedding.test_wire import hybrid_schema, refusal
from tests.support.onnx_files import pair_score
from tests.wire.asgi_server import serve_app
from tests.wire.clients import ApiClient, CollectionClient
from tests.wire.conftest import AGENT

pytestmark = pytest.mark.slow

QUERY = "blue fish in the sea"
DOCUMENTS = [
    "the red cat and the dog",
    "a blue fish in the sea",
    "a desert planet and its spice",
    "fish of the river",
    "a bird in the green tree",
    "the sea is blue",
]
IDS = ["a", "b", "c", "d", "e", "f"]
ALL: dict[str, Any] = {"$knn": {"query": QUERY, "limit": 100}}
BEST_FIRST = sorted(IDS, key=lambda name: -pair_score(QUERY, DOCUMENTS[IDS.index(name)]))


@pytest.fixture
def books(text_client: ApiClient) -> CollectionClient:
    collection = text_client.collection(schema=hybrid_schema("words"))
    collection.add(ids=IDS, documents=DOCUMENTS, metadatas=[{"odd": i % 2 == 1} for i in range(6)])
    return collection


def search(collection: CollectionClient, rank: Any, **fields: Any) -> Any:
    response = collection.post("search", searches=[{"rank": rank, "select": {"keys": ["#score"]}, **fields}])
    assert response.status_code == 200, response.text
    return response.json()


def rerank(rank: Any, **fields: Any) -> dict[str, Any]:
    return {"$rerank": {"query": QUERY, "rank": rank, **fields}}


def test_the_models_scores_order_the_records_of_any_expression(books: CollectionClient) -> None:
    rrf = {
        "$sum": [
            {"$knn": {"query": QUERY, "return_rank": True, "default": 100}},
            {"$knn": {"query": QUERY, "key": "words", "return_rank": True, "default": 100}},
        ]
    }
    for rank in (ALL, rrf):
        found = search(books, rerank(rank))
        assert found["ids"] == [BEST_FIRST]
        expected = [-pair_score(QUERY, DOCUMENTS[IDS.index(name)]) for name in BEST_FIRST]
        assert found["scores"][0] == pytest.approx(expected, abs=1e-3)
    of_words = search(books, {"$knn": {"query": QUERY, "key": "words"}})["ids"][0]
    words = search(books, rerank({"$knn": {"query": QUERY, "key": "words"}}))["ids"][0]
    assert words == [name for name in BEST_FIRST if name in of_words]
    assert 0 < len(words) < len(IDS)


def test_only_the_first_records_are_scored(books: CollectionClient) -> None:
    first = search(books, ALL)["ids"][0][:3]
    assert search(books, rerank(ALL, limit=3))["ids"][0] == [name for name in BEST_FIRST if name in first]
    rest = search(books, rerank(ALL, limit=3, default=1000.0))
    assert rest["ids"][0][:3] == [name for name in BEST_FIRST if name in first]
    assert search(books, rerank({"$mul": [{"$val": 1}, ALL]}, limit=0, default=1.0))["ids"] == [[]]
    ranks = search(books, rerank(ALL, return_rank=True))["scores"][0]
    assert ranks == [0, 1, 2, 3, 4, 5]


def test_it_is_an_operand_and_has_one(books: CollectionClient) -> None:
    inner = rerank(ALL, limit=4)
    nested = search(books, {"$rerank": {"query": "a desert planet", "rank": inner, "limit": 2}})["ids"][0]
    assert set(nested) == set(search(books, inner)["ids"][0][:2])
    doubled = search(books, {"$mul": [{"$val": 2}, inner]})
    assert doubled["scores"][0] == pytest.approx([2 * score for score in search(books, inner)["scores"][0]], abs=1e-3)


def test_filters_groups_and_pages_apply(books: CollectionClient) -> None:
    odd = search(books, rerank(ALL), filter={"odd": True}, limit={"offset": 1, "limit": 1})["ids"][0]
    assert odd == [[name for name in BEST_FIRST if IDS.index(name) % 2][1]]
    groups = {"keys": ["odd"], "aggregate": {"$min_k": {"keys": ["#score"], "k": 1}}}
    best = {IDS.index(name) % 2: name for name in reversed(BEST_FIRST)}
    assert set(search(books, rerank(ALL), group_by=groups)["ids"][0]) == set(best.values())


def test_records_without_a_document_drop_out(books: CollectionClient) -> None:
    vector = books.records("embeddings")["embeddings"][0]
    books.add(ids=["none"], embeddings=[vector])
    assert search(books, rerank(ALL))["ids"] == [BEST_FIRST]


def test_explain_names_it(books: CollectionClient) -> None:
    body = {"searches": [{"rank": rerank(ALL, limit=5)}], "explain": True}
    response = books.post("search", **body)
    explain = response.json()["explain"]
    assert explain["searches"][0]["reranked"] == [{"limit": 5, "documents": 5}]
    assert explain["milliseconds"]["rerank"] > 0
    assert explain["requests"]["rerank.documents"] == 5


def test_bounds_and_bad_input(books: CollectionClient) -> None:
    def refused(rank: Any, status: int) -> str:
        return refusal(books.post("search", searches=[{"rank": rank}]), status)

    assert "may rerank 256 documents" in refused({"$sum": [rerank(ALL, limit=200), rerank(ALL, limit=57)]}, 400)
    assert "missing field `rank`" in refused({"$rerank": {"query": QUERY}}, 422)
    assert "expected a string" in refused({"$rerank": {"query": [1.0], "rank": ALL}}, 422)
    assert "u32" in refused(rerank(ALL, limit=-1), 422)
    assert "unknown variant" in refused(rerank({"$median": []}), 422)
    books.post("upsert", ids=["huge"], documents=["sea " * 250_000])
    assert "huge" in search(books, rerank(ALL, query="fish " * 250_000))["ids"][0]


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_a_server_without_a_reranker_says_so(text_settings: Settings, tmp_path: Path, folder: str) -> None:
    system, path = System(), str(tmp_path / folder) if folder else ""
    settings = Settings(embedding_model_dir=text_settings.embedding_model_dir, reranker_model_dir=path)
    engine = start_engine(open_local(tmp_path / "data", system), settings, system)
    try:
        app = create_app(engine, settings, system, allow_reset=False)
        with serve_app(app) as base, httpx.Client(base_url=base, timeout=30.0, headers=AGENT) as client:
            collection = ApiClient(client).collection()
            collection.add(ids=["a"], embeddings=[[1.0]], documents=["a cat"])
            response = collection.post("search", searches=[{"rank": rerank({"$knn": {"query": [1.0]}})}])
            missing = client.post(
                f"/api/v2/tenants/default_tenant/databases/default_database/collections/{'0' * 8}-0000-4000-8000-"
                f"{'0' * 12}/search",
                json={"searches": [{"rank": rerank({"$knn": {"query": [1.0]}})}]},
            )
    finally:
        engine.close()
    assert missing.status_code == 404
    assert "AFTERGLOW_RERANKER_MODEL_DIR" in refusal(response, 503 if folder else 400)
