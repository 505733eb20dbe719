"""The stock client against the server as a process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.api import ClientAPI
from chromadb.api.types import Schema, SparseVectorIndexConfig
from chromadb.base_types import SparseVector
from chromadb.config import Settings
from chromadb.errors import ChromaError, InvalidArgumentError, NotFoundError
from chromadb.utils.embedding_functions import ChromaBm25EmbeddingFunction
from numpy.typing import NDArray

from tests.support.server import HOST, running


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running(tmp_path_factory.mktemp("stock")) as server:
        yield server.port


@contextmanager
def session(client: Any) -> Iterator[Any]:
    """The client, which does not close its connections by itself."""
    servers = [item._server for item in (client, getattr(client, "_admin_client", None)) if item is not None]
    connections = [item._session for item in servers]
    try:
        yield client
    finally:
        if hasattr(client, "close"):
            client.close()
        for item in connections:
            item.close()


@pytest.fixture
def client(port: int) -> Iterator[ClientAPI]:
    with session(chromadb.HttpClient(HOST, port)) as client:
        yield client


def vectors(*numbers: float) -> NDArray[np.float32]:
    return np.array([numbers], dtype=np.float32)


def test_a_session(client: ClientAPI) -> None:
    assert client.heartbeat() > 0
    assert client.get_version() == "1.0.0"
    assert client.get_max_batch_size() == 5461
    collection = client.create_collection("session", metadata={"hnsw:space": "cosine"}, embedding_function=None)
    rng = np.random.default_rng(7)
    matrix = rng.normal(size=(300, 16)).astype(np.float32)
    ids = [str(n) for n in range(300)]
    metadatas: list[Any] = [{"n": n, "even": n % 2 == 0, "tags": ["all", f"mod{n % 3}"]} for n in range(300)]
    collection.add(ids=ids, embeddings=matrix, documents=[f"document {n}" for n in range(300)], metadatas=metadatas)
    assert collection.count() == 300
    result = collection.query(query_embeddings=matrix[:2], n_results=1)
    assert result["ids"] == [["0"], ["1"]]
    tagged: Any = {"tags": {"$contains": "mod1"}}
    result = collection.query(query_embeddings=matrix[3], n_results=5, where=tagged)
    assert all(int(item) % 3 == 1 for item in result["ids"][0])
    even: Any = {"$and": [{"n": {"$gte": 10}}, {"even": True}]}
    got = collection.get(where=even, limit=2, include=["embeddings"])
    assert got["ids"] == ["10", "12"]
    embeddings = got["embeddings"]
    assert embeddings is not None
    assert np.array_equal(np.array(embeddings, dtype=np.float32), matrix[[10, 12]])
    collection.update(ids=["0"], metadatas=[{"n": -1}])
    collection.upsert(ids=["0", "new"], embeddings=matrix[:2], documents=["changed", "new"])
    got = collection.get(ids=["0", "new"])
    assert got["documents"] == ["changed", "new"]
    assert got["metadatas"] == [{"n": -1, "even": True, "tags": ["all", "mod0"]}, None]
    large: Any = {"n": {"$gte": 100}}
    collection.delete(where=large)
    assert collection.count() == 101
    assert len(collection.peek(3)["ids"]) == 3
    collection.modify(name="renamed", metadata={"a": 1})
    assert client.get_collection("renamed", embedding_function=None).metadata == {"a": 1}
    assert [item.name for item in client.list_collections()] == ["renamed"]
    client.delete_collection("renamed")
    assert client.count_collections() == 0


def test_errors_have_their_names_and_traces(client: ClientAPI) -> None:
    with pytest.raises(NotFoundError, match=r"Collection \[nosuch\] does not exist") as missing:
        client.get_collection("nosuch")
    assert len(missing.value.trace_id or "") == 32
    collection = client.create_collection("errors", embedding_function=None)
    collection.add(ids=["a"], embeddings=vectors(1, 2))
    with pytest.raises(InvalidArgumentError, match="dimension of 2, got 3"):
        collection.add(ids=["b"], embeddings=vectors(1, 2, 3))
    with pytest.raises(ChromaError, match="already exists"):
        client.create_collection("errors")


def test_tenants_and_databases(port: int) -> None:
    settings = Settings(
        chroma_server_host=HOST, chroma_server_http_port=port, chroma_api_impl="chromadb.api.fastapi.FastAPI"
    )
    with session(chromadb.AdminClient(settings)) as admin:
        admin.create_tenant("acme")
        admin.create_database("books", "acme")
        assert [item["name"] for item in admin.list_databases(tenant="acme")] == ["books"]
        with session(chromadb.HttpClient(HOST, port, tenant="acme", database="books")) as client:
            client.create_collection("poems", embedding_function=None).add(ids=["a"], embeddings=vectors(1))
            assert client.count_collections() == 1
        admin.delete_database("books", "acme")
        with pytest.raises(NotFoundError, match=r"Database \[books\] not found"):
            admin.get_database("books", "acme")


def test_the_client_makes_sparse_vectors_of_documents(client: ClientAPI) -> None:
    function = ChromaBm25EmbeddingFunction(include_tokens=True)
    index = SparseVectorIndexConfig(embedding_function=function, source_key="#document", bm25=True)
    schema = Schema().create_index(config=index, key="terms")
    created = client.create_collection("sparse", schema=schema, embedding_function=None)
    texts = ["a quick brown fox", "the lazy dog sleeps", "the of"]
    metadatas: list[Any] = [{"n": 1}, None, None]
    created.add(ids=["a", "b", "c"], embeddings=np.eye(3, dtype=np.float32), documents=texts, metadatas=metadatas)
    created.update(ids=["b"], embeddings=vectors(0, 1, 0), documents=["a dog awakes"])

    # Another client finds the function in the schema, and so would embed the same way.
    collection = client.get_collection("sparse", embedding_function=None)
    assert collection.schema is not None
    terms = collection.schema.keys["terms"].sparse_vector
    assert terms is not None
    assert terms.sparse_vector_index is not None
    assert terms.sparse_vector_index.enabled
    config = terms.sparse_vector_index.config
    assert (config.source_key, config.bm25) == ("#document", True)
    assert isinstance(config.embedding_function, ChromaBm25EmbeddingFunction)
    expected = function([texts[0], "a dog awakes", texts[2]])
    assert [item.labels for item in expected] == [["brown", "quick", "fox"], ["dog", "awak"], None]
    got = collection.get()["metadatas"] or []
    assert [(item or {})["terms"] for item in got] == expected
    assert (got[0] or {})["n"] == 1


def test_sparse_vectors_of_ones_own(client: ClientAPI) -> None:
    collection = client.create_collection("own-sparse-vectors", embedding_function=None)
    vector = SparseVector(indices=[3, 2**32 - 1], values=[0.1, -2.0])
    collection.add(ids=["a"], embeddings=vectors(1), metadatas=[{"sv": vector}])
    result = collection.query(query_embeddings=vectors(1), n_results=1)
    assert result["metadatas"] == [[{"sv": vector}]]


@pytest.mark.slow
def test_records_that_expire(client: ClientAPI) -> None:
    collection = client.create_collection(
        "expiring", metadata={"afterglow:ttl_key": "expires"}, embedding_function=None
    )
    metadatas: list[Any] = [{"expires": 1_000_000_000}, {"expires": 4_000_000_000}, {"kept": True}]
    collection.add(ids=["over", "later", "never"], embeddings=np.eye(3, dtype=np.float32), metadatas=metadatas)
    assert collection.count() == 2
    assert collection.get()["ids"] == ["later", "never"]
    assert collection.query(query_embeddings=vectors(1, 0, 0), n_results=3)["ids"] == [["later", "never"]]
    collection.update(ids=["later"], metadatas=[{"expires": 1_000_000_000}])
    assert collection.get(ids=["later", "never"])["ids"] == ["never"]
