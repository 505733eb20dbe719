"""Records what Qdrant answers, of its client's local mode: `python record_qdrant.py > fixtures/qdrant.json`.

Runs in an environment with `qdrant-client`. Each line: method, path, body and answer. Pages have four points.
"""

import json
import sys
from typing import Any
from uuid import UUID

from qdrant_client import QdrantClient, models

PAGE_ROWS = 4
PAYLOADS: list[dict[str, Any]] = [
    {"page_content": "first", "metadata": {"source": "a.txt", "page": 1}},  # as LangChain writes
    {"text": "second", "year": 1999, "tags": ["x", "y"]},
    {},
    {"nested": {"a": {"b": 1}}, "flag": True},
]


def ask(method: str, path: str, body: Any, result: Any) -> None:
    json.dump({"request": [method, path, body], "answer": {"status": "ok", "result": result}}, sys.stdout)
    print()


def scroll(client: QdrantClient, name: str, after: Any, *, limit: int = PAGE_ROWS, payload: bool, vector: Any) -> Any:
    """One page, as the HTTP API answers."""
    points, following = client.scroll(name, limit=limit, offset=after, with_payload=payload, with_vectors=vector)
    result = {"points": [point.model_dump(mode="json") for point in points], "next_page_offset": following}
    body = {"limit": limit, "with_payload": payload, "with_vector": vector, "offset": after}
    ask("POST", f"/collections/{name}/points/scroll", body, result)
    return following


def describe(client: QdrantClient, name: str) -> None:
    params = client.get_collection(name).config.params.model_dump(mode="json", exclude_none=True)
    ask("GET", f"/collections/{name}", None, {"config": {"params": params}})
    ask("POST", f"/collections/{name}/points/count", {"exact": True}, {"count": client.count(name).count})


def main() -> None:
    client = QdrantClient(":memory:")
    client.create_collection("books", models.VectorParams(size=3, distance=models.Distance.DOT))
    client.upsert(
        "books",
        [models.PointStruct(id=n, vector=[n, n / 2, 1.0], payload=PAYLOADS[n % len(PAYLOADS)]) for n in range(7)]
        + [models.PointStruct(id=str(UUID(int=5)), vector=[0.0, 0.0, 1.0], payload={"text": "a UUID"})],
    )
    client.create_collection(
        "films",
        {
            "plot": models.VectorParams(size=2, distance=models.Distance.COSINE),
            "poster": models.VectorParams(size=4, distance=models.Distance.EUCLID),
        },
        sparse_vectors_config={"words": models.SparseVectorParams()},
    )
    sparse = models.SparseVector(indices=[7, 2], values=[0.5, 0.25])
    client.upsert(
        "films",
        [
            models.PointStruct(id=1, vector={"plot": [3.0, 4.0], "poster": [1.0, 2.0, 3.0, 4.0], "words": sparse}),
            models.PointStruct(id=2, vector={"poster": [1.0, 2.0, 3.0, 4.0]}, payload={"title": "without a plot"}),
        ],
    )
    names = [{"name": collection.name} for collection in client.get_collections().collections]
    ask("GET", "/collections", None, {"collections": names})
    for name, vector in (("books", True), ("films", ["plot", "words"])):
        describe(client, name)
        after, first = None, True
        while first or after is not None:
            after, first = scroll(client, name, after, payload=True, vector=vector), False
    after = scroll(client, "books", None, limit=4, payload=False, vector=False)
    scroll(client, "films", None, limit=1, payload=False, vector=False)


if __name__ == "__main__":
    main()
