"""Fills a Chroma directory, and prints what Chroma itself returns of it as JSON; runs in any generation of chromadb.

`python fill.py DIRECTORY`. Small batches make Chroma write its HNSW files early, so that every collection has vectors
in the files, and some of them vectors in the queue alone.
"""

import json
import sys
from typing import Any

import chromadb
from chromadb.config import Settings

DIMENSION = 8
SMALL_BATCHES = {"hnsw:batch_size": 10, "hnsw:sync_threshold": 20}


def vector(number: int, salt: int) -> list[float]:
    """Deterministic, all of them distinct."""
    return [((number * 37 + axis * 11 + salt * 5) % 101) / 16 - 3 + number / 1024 for axis in range(DIMENSION)]


def metadata(number: int) -> dict[str, Any]:
    """Of every type."""
    return {"n": number, "half": number / 2, "even": number % 2 == 0, "word": f"wörd {number % 7}"}


def fill(collection: Any, count: int, salt: int) -> None:
    """Records in adds of seven."""
    for start in range(0, count, 7):
        numbers = range(start, min(start + 7, count))
        collection.add(
            ids=[f"record-{number:03}" for number in numbers],
            embeddings=[vector(number, salt) for number in numbers],
            documents=[f"document {number} of “{salt}”" for number in numbers],
            metadatas=[metadata(number) for number in numbers],
        )


def contents(collection: Any) -> dict[str, Any]:
    """What Chroma returns."""
    found = collection.get(include=["embeddings", "documents", "metadatas"])
    embeddings = [[float(number) for number in embedding] for embedding in found["embeddings"]]
    records = zip(found["ids"], embeddings, found["documents"], found["metadatas"], strict=True)
    return {
        "metadata": collection.metadata,
        "records": {name: [embedding, document, meta] for name, embedding, document, meta in records},
    }


def main() -> None:
    """Fill and print."""
    client = chromadb.PersistentClient(sys.argv[1], Settings(anonymized_telemetry=False))
    plain: Any = client.create_collection(
        "plain", metadata={"about": "plain", **SMALL_BATCHES}, embedding_function=None
    )
    fill(plain, 66, 1)
    plain.delete(ids=["record-003", "record-050"])
    plain.update(ids=["record-005"], embeddings=[vector(500, 1)], documents=["changed"], metadatas=[{"n": -1}])
    plain.upsert(ids=["record-006", "new"], embeddings=[vector(600, 1), vector(601, 1)])
    angular = client.create_collection("angular", metadata={"hnsw:space": "cosine", **SMALL_BATCHES})
    fill(angular, 41, 2)
    queued = client.create_collection("queued", metadata={"hnsw:space": "ip"})
    fill(queued, 12, 3)
    queued.delete(ids=["record-004"])
    client.create_collection("empty")
    collections = (client.get_collection(name) for name in ("plain", "angular", "queued", "empty"))
    print(json.dumps({collection.name: contents(collection) for collection in collections}, sort_keys=True))


if __name__ == "__main__":
    main()
