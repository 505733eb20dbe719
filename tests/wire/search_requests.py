"""Searches of the collection `letters`, and what they answer."""

from typing import Any

from tests.wire.clients import CollectionClient

VECTORS = {"a": [0.0, 0.0], "b": [1.0, 0.0], "c": [2.0, 0.0], "d": [3.0, 0.0], "e": [4.0, 0.0]}
"""Distances 0, 1, 4, 9, 16 from the first."""
NEAR = {"$knn": {"query": [0, 0], "limit": 3}}
FAR = {"$knn": {"query": [4, 0], "limit": 3}}


def send_request(collection: CollectionClient, *searches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    response = collection.post("search", searches=list(searches), **fields)
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def scores_of(collection: CollectionClient, rank: Any, **fields: Any) -> dict[str, float | None]:
    """The scores of one search's records, in its order."""
    result = send_request(collection, {"rank": rank, "select": {"keys": ["#score"]}, **fields})
    return dict(zip(result["ids"][0], result["scores"][0], strict=True))
