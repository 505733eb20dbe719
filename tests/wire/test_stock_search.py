"""The stock client's searches, against the server as a process and embedded in this one."""

from collections.abc import Iterator
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.api import ClientAPI
from chromadb.api.models.Collection import Collection
from chromadb.api.types import ReadLevel, Schema, SparseVectorIndexConfig
from chromadb.errors import InvalidArgumentError
from chromadb.execution.expression import GroupBy, K, Knn, MaxK, MinK, Rrf, Search, Val
from chromadb.utils.embedding_functions import ChromaBm25EmbeddingFunction

import afterglow
from tests.support.server import HOST, running
from tests.wire.test_stock_client import session

TEXTS = {
    "kepler": "Planets move in ellipses around the sun",
    "newton": "Gravity pulls planets towards the sun",
    "curie": "Radium glows in the dark",
    "darwin": "Finches differ between islands",
    "wegener": "Continents drift apart like islands",
}
YEARS = {"kepler": 1609, "newton": 1687, "curie": 1898, "darwin": 1859, "wegener": 1912}
FIELD = {"kepler": "physics", "newton": "physics", "curie": "physics", "darwin": "biology", "wegener": "geology"}
VECTORS = np.array([[0, 0], [1, 0], [2, 0], [8, 0], [9, 0]], dtype=np.float32)


@pytest.fixture(scope="module", params=["server", "embedded"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientAPI]:
    if request.param == "embedded":
        with session(afterglow.EphemeralClient()) as client:
            yield client
        return
    with (
        running(tmp_path_factory.mktemp("search")) as server,
        session(chromadb.HttpClient(HOST, server.port)) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def science(client: ClientAPI) -> Collection:
    """Five texts, whose sparse vectors the client makes by its BM25 embedding function."""
    config = SparseVectorIndexConfig(
        embedding_function=ChromaBm25EmbeddingFunction(), source_key="#document", bm25=True
    )
    schema = Schema().create_index(config=config, key="words")
    collection = client.create_collection("science", schema=schema, embedding_function=None)
    metadatas: list[Any] = [{"year": YEARS[name], "field": FIELD[name]} for name in TEXTS]
    collection.add(ids=list(TEXTS), embeddings=VECTORS, documents=list(TEXTS.values()), metadatas=metadatas)
    return collection


def near(limit: int = 16, **options: Any) -> Knn:
    return Knn(query=[0.0, 0.0], limit=limit, **options)


def words(text: str, limit: int = 16, **options: Any) -> Knn:
    return Knn(query=text, key="words", limit=limit, **options)


def names(collection: Collection, *searches: Search) -> list[list[str]]:
    ids: list[list[str]] = collection.search(list(searches))["ids"]
    return ids


def test_vectors_words_and_both(science: Collection) -> None:
    fused = Rrf([near(return_rank=True, default=9.0), words("islands apart", return_rank=True, default=9.0)], k=1)
    assert names(
        science,
        Search().rank(near()).limit(2),
        Search().rank(words("islands apart")),
        Search().rank(fused).limit(3),
    ) == [["kepler", "newton"], ["wegener", "darwin"], ["wegener", "kepler", "darwin"]]


def test_what_is_selected(science: Collection) -> None:
    search = Search().rank(near(1)).select(K.DOCUMENT, K.SCORE, "year")
    result = science.search(search.where(K("field") == "biology"))
    assert result.rows() == [[{"id": "darwin", "document": TEXTS["darwin"], "metadata": {"year": 1859}, "score": 64.0}]]
    assert science.search(search.select_all()).rows()[0][0]["embedding"] == [0.0, 0.0]


def test_filters_and_arithmetic(science: Collection) -> None:
    where = (K("year") < 1900) & K.DOCUMENT.not_contains("sun") | K.ID.is_in(["newton"])
    score = (near() * 0.5 + Val(1.0)).log().exp() - 1.0
    result = science.search(Search().where(where).rank(score).select(K.SCORE))
    assert result["ids"] == [["newton", "curie", "darwin"]]
    scores = result["scores"]
    assert scores is not None
    assert scores[0] == pytest.approx([0.5, 2.0, 32.0], rel=1e-5)


def test_groups(science: Collection) -> None:
    def grouped(aggregate: Any) -> Search:
        return Search().rank(near()).group_by(GroupBy(keys=K("field"), aggregate=aggregate))

    assert names(science, grouped(MinK(keys=K.SCORE, k=1)), grouped(MaxK(keys=[K("year"), K.SCORE], k=1))) == [
        ["kepler", "darwin", "wegener"],
        ["curie", "darwin", "wegener"],
    ]


def test_pages_without_a_rank(science: Collection) -> None:
    assert names(science, Search().limit(2, offset=1)) == [["newton", "curie"]]
    everything = science.search(Search(), read_level=ReadLevel.INDEX_AND_BOUNDED_WAL)
    assert everything["ids"] == [list(TEXTS)]


def test_refusals_have_their_names(science: Collection) -> None:
    with pytest.raises(InvalidArgumentError, match="dimension of 2, got 1"):
        science.search(Search().rank(Knn(query=[1.0])))
    with pytest.raises(InvalidArgumentError, match="group_by requires rank expression to be specified"):
        science.search(Search().group_by(GroupBy(keys=K("field"), aggregate=MinK(keys=K.SCORE, k=1))))
