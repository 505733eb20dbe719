"""Searches of the collection `letters`, and what they answer."""

from typing import Any

from tests.wire.face import CollectionFace

VECTORS = {"a": [0.0, 0.0], "b": [1.0, 0.0], "c": [2.0, 0.0], "d": [3.0, 0.0], "e": [4.0, 0.0]}
"""Distances 0, 1, 4, 9, 16 from the first."""
NEAR = {"$knn": {"query": [0, 0], "limit": 3}}
FAR = {"$knn": {"query": [4, 0], "limit": 3}}


def asked(collection: CollectionFace, *searches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = collection.post("search", searches=list(searches), **fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def scored(collection: CollectionFace, rank: Any, **fields: Any) -> dict[str, float | None]:
    """The scores of one search's records, in its order."""
    found = asked(collection, {"rank": rank, "select": {"keys": ["#score"]}, **fields})
    return dict(zip(found["ids"][0], found["scores"][0], strict=True))
