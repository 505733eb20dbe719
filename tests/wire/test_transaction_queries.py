"""Queries and searches in transactions: what is as near as the last result is protected, and nothing farther."""

from typing import Any

import numpy as np
import pytest

from tests.wire.clients import ApiClient, CollectionClient, assert_error, assert_invalid_body
from tests.wire.test_transactions import CONFLICT, commit, get, operation

ORIGIN = [0.0, 0.0, 0.0]


def at(distance: float) -> list[float]:
    """A vector at this squared distance from the origin."""
    return [float(np.sqrt(distance)), 0.0, 0.0]


@pytest.fixture
def stored(collection: CollectionClient) -> CollectionClient:
    """The records d1, d4 and d9, at these distances from the origin; of d4 v is 2, of the others 1."""
    distances = (1, 4, 9)
    return collection.add(
        ids=[f"d{distance}" for distance in distances],
        embeddings=[at(distance) for distance in distances],
        metadatas=[{"v": 1 + (distance == 4)} for distance in distances],
    )


def query(collection: CollectionClient, token: int | None = None, **body: Any) -> dict[str, Any]:
    response = collection.post("conditional/query", query_embeddings=[ORIGIN], read_token=token, **body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def search(collection: CollectionClient, token: int | None = None, **one: Any) -> dict[str, Any]:
    response = collection.post("conditional/search", searches=[one], read_token=token)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def conflicts(collection: CollectionClient, read: dict[str, Any]) -> bool:
    """Whether a commit after this read conflicts."""
    response = commit(collection, read["read_token"], operation("upsert", "w"), read_queries=read["read_queries"])
    if response.status_code != 200:
        assert_error(response, *CONFLICT)
    return response.status_code != 200


def test_a_query_answers_as_the_plain_one_does(stored: CollectionClient) -> None:
    body: dict[str, Any] = {"query_embeddings": [ORIGIN, at(9)], "n_results": 2, "where": {"v": 1}}
    plain = stored.post("query", **body).json()
    response = stored.post("conditional/query", **body)
    filters = {"ids": None, "where": {"v": 1}, "where_document": None}
    assert response.json() == plain | {
        "read_token": 2,
        "read_queries": [
            {"query_embedding": ORIGIN, "within": 9.0, **filters},
            {"query_embedding": at(9), "within": 4.0, **filters},
        ],
    }
    assert response.headers["afterglow-log-position"] == "1"


def test_all_reads_see_one_snapshot(stored: CollectionClient) -> None:
    token = query(stored)["read_token"]
    stored.post("upsert", ids=["new", "d1"], embeddings=[ORIGIN, at(100)])
    stored.post("delete", ids=["d4"])
    for exact in (False, True):
        assert query(stored, token, n_results=5, exact=exact)["ids"] == [["d1", "d4", "d9"]]
    assert query(stored, token, ids=["d1", "new"])["ids"] == [["d1"]]
    rank = {"$knn": {"query": ORIGIN}}
    assert search(stored, token, rank=rank)["ids"] == [["d1", "d4", "d9"]]
    assert search(stored, token, filter={"#id": {"$in": ["d4", "new"]}})["ids"] == [["d4"]]
    assert get(stored, token, limit=9) == (["d1", "d4", "d9"], token)
    assert query(stored)["ids"] == [["new", "d9", "d1"]]


WRITES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "a nearer record": ("add", {"ids": ["n"], "embeddings": [at(2)]}, True),
    "one as near as the last": ("add", {"ids": ["n"], "embeddings": [at(4)]}, True),
    "one farther": ("add", {"ids": ["n"], "embeddings": [at(4.1)]}, False),
    "one that comes nearer": ("update", {"ids": ["d9"], "embeddings": [at(3)]}, True),
    "one that goes away": ("update", {"ids": ["d1"], "embeddings": [at(50)]}, True),
    "one that is deleted": ("delete", {"ids": ["d1"]}, True),
    "a far one that is deleted": ("delete", {"ids": ["d9"]}, False),
    "one that is absent": ("delete", {"ids": ["d5"]}, False),
    "a result with other metadata": ("update", {"ids": ["d1"], "metadatas": [{"v": 3}]}, True),
}


@pytest.mark.parametrize(("call", "body", "expected"), WRITES.values(), ids=WRITES)
def test_the_k_nearest(stored: CollectionClient, call: str, body: dict[str, Any], expected: bool) -> None:
    reads = [
        query(stored, n_results=2),
        query(stored, n_results=3, within=4.0),
        search(stored, rank={"$knn": {"query": ORIGIN}}, limit={"limit": 1, "offset": 1}),
        search(stored, rank={"$knn": {"query": ORIGIN, "limit": 2}}, limit={"limit": 5}),
    ]
    assert [read["read_queries"][0]["within"] for read in reads] == [4.0] * 4
    assert stored.post(call, **body).status_code in (200, 201)
    assert [conflicts(stored, read) for read in reads] == [expected] * 4


def test_fewer_than_k_conflict_with_any_distance(stored: CollectionClient) -> None:
    reads = [
        query(stored, n_results=4),
        query(stored, n_results=3, where={"v": 1}),
        search(stored, rank={"$knn": {"query": ORIGIN}}),
    ]
    assert all(read["read_queries"][0]["within"] is None for read in reads)
    stored.add(ids=["far"], embeddings=[at(1e6)], metadatas=[{"v": 1}])
    assert all(conflicts(stored, read) for read in reads)


def test_only_records_that_the_filter_selects(stored: CollectionClient) -> None:
    def read() -> list[dict[str, Any]]:
        rank = {"$knn": {"query": ORIGIN}}
        return [
            query(stored, where={"v": 2}),
            query(stored, where_document={"$contains": "word"}),
            query(stored, ids=["d4", "m"]),
            search(stored, rank=rank, filter={"v": 2}),
            search(stored, rank=rank, filter={"#id": {"$in": ["d4", "m"]}}),
            search(stored, filter={"#id": {"$in": ["d4", "m"]}}),
        ]

    before = read()
    stored.add(ids=["n"], embeddings=[ORIGIN], metadatas=[{"v": 1}], documents=["another"])
    assert [conflicts(stored, one) for one in before] == [False] * 6
    before = read()
    stored.add(ids=["m"], embeddings=[ORIGIN], metadatas=[{"v": 2}], documents=["a word"])
    assert [conflicts(stored, one) for one in before] == [True] * 6


RANKS: tuple[dict[str, Any], ...] = (
    {"$knn": {"query": ORIGIN, "default": 5.0}},
    {"$knn": {"query": ORIGIN, "return_rank": True}},
    {"$mul": [{"$knn": {"query": ORIGIN}}, {"$val": 2.0}]},
    {},
)


@pytest.mark.parametrize("rank", RANKS)
def test_other_ranks_are_protected_by_their_filter(stored: CollectionClient, rank: dict[str, Any]) -> None:
    read = search(stored, rank=rank, filter={"v": 2}, limit={"limit": 1})
    assert read["read_queries"] == [{"filter": {"v": 2}}]
    stored.add(ids=["n"], embeddings=[ORIGIN], metadatas=[{"v": 1}])
    assert not conflicts(stored, read)
    stored.add(ids=["m"], embeddings=[at(1e6)], metadatas=[{"v": 2}])
    assert conflicts(stored, read)


@pytest.mark.parametrize("space", ["l2", "cosine", "ip"])
def test_what_another_transaction_inserted_first_is_a_duplicate(api_client: ApiClient, space: str) -> None:
    """Insert unless something nearer than d is there: of two that run at once, one is refused."""
    created = api_client.collection(configuration={"hnsw": {"space": space}})
    vector = np.array([0.3, -1.1, 0.7], np.float32)
    near = (vector * np.float32(1 + 1e-6)).tolist()
    reads = [
        created.post("conditional/query", query_embeddings=[one], n_results=1, within=0.01, exact=True).json()
        for one in (vector.tolist(), near)
    ]
    assert [read["ids"] for read in reads] == [[[]], [[]]]
    add = operation("add", "first", embeddings=[vector.tolist()])
    assert commit(created, reads[0]["read_token"], add, read_queries=reads[0]["read_queries"]).status_code == 200
    second = operation("add", "second", embeddings=[near])
    response = commit(created, reads[1]["read_token"], second, read_queries=reads[1]["read_queries"])
    assert_error(response, *CONFLICT)


def test_refused(stored: CollectionClient) -> None:
    token = query(stored)["read_token"]
    add = operation("add", "n")

    def refused(status: int, message: str, *read_queries: Any, read_token: int | None = token) -> None:
        assert_error(commit(stored, read_token, add, read_queries=list(read_queries)), status, message)

    message = "conditional commit with read_filters, read_queries or a nonce requires read_token"
    refused(400, message, {}, read_token=None)
    refused(400, "read_queries[0]: either where or filter, not both", {"where": {"v": 1}, "filter": {"v": 1}})
    refused(400, "read_queries[0]: within needs a query_embedding", {"within": 1.0})
    refused(400, "Collection expecting embedding with dimension of 3, got 2", {"query_embedding": [0.0, 1.0]})
    limit = "a transaction with 101 read_filters and read_queries exceeds the limit of 100: split it"
    refused(422, limit, *[{}] * 101)
    for wrong, what in (
        ({"query_embedding": "a"}, 'read_queries[0].query_embedding: invalid type: string "a", expected a sequence'),
        ({"query_embedding": [1.0, None]}, "read_queries[0].query_embedding[1]: invalid type: null, expected f32"),
        ({"distance": 1.0}, "read_queries[0].distance: unknown field `distance`"),
    ):
        response = commit(stored, token, add, read_queries=[wrong])
        assert_invalid_body(response, what)
    assert_invalid_body(stored.post("conditional/query"), "missing field `query_embeddings`")
    assert stored.post("conditional/query", query_embeddings=[[1.0]]).status_code == 400
    assert stored.post("conditional/query", query_embeddings=[ORIGIN], read_token=0).status_code == 412
    assert stored.post("conditional/search", searches=[{}], read_token=99).status_code == 400
