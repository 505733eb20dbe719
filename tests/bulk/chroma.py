"""A genuine Chroma's directory with everything in it, and how it is compared."""

from pathlib import Path
from typing import Any

import chromadb
import numpy as np
from chromadb import Schema
from chromadb.api.types import StringInvertedIndexConfig
from chromadb.config import Settings

DIMENSION = 6


def quiet(**more: Any) -> Settings:
    """Settings of a client that reports to nobody; each client takes its own."""
    return Settings(anonymized_telemetry=False, **more)


def fill(path: Path, records: int = 700) -> None:
    """Two tenants, three databases, collections of every kind."""
    client: Any = chromadb.PersistentClient(str(path), quiet())
    admin = chromadb.AdminClient(quiet(is_persistent=True, persist_directory=str(path)))
    admin.create_tenant("other_tenant")
    admin.create_database("second")
    admin.create_database("theirs", "other_tenant")
    everything = client.create_collection("everything", metadata={"about": "all", "n": 1}, embedding_function=None)
    random = np.random.default_rng(11)
    for start in range(0, records, 100):
        names = [f"ключ-{number:04}" for number in range(start, min(start + 100, records))]
        everything.add(
            ids=names,
            embeddings=random.standard_normal((len(names), DIMENSION)).astype(np.float32),
            documents=[f"document {name} “quoted” \n" for name in names],
            metadatas=[metadata(start + number) for number in range(len(names))],
            uris=[f"file:///{name}" for name in names],
        )
    everything.delete(ids=["ключ-0003", "ключ-0200"])
    everything.update(
        ids=["ключ-0005"],
        embeddings=[[0.5] * DIMENSION],
        documents=["changed"],
        metadatas=[{"i": -1, "extra": True}],
    )
    bare = client.create_collection("bare", configuration={"hnsw": {"space": "ip", "ef_search": 77}})
    bare.add(ids=["a", "b"], embeddings=[[0.5] * 3, [0.25] * 3])
    client.create_collection("legacy", metadata={"hnsw:space": "cosine", "hnsw:M": 24}).add(
        ids=["x"], embeddings=[[3.0, 4.0]]
    )
    schema = Schema()
    schema.delete_index(config=StringInvertedIndexConfig(), key="unindexed")
    client.create_collection("schematic", schema=schema, embedding_function=None).add(
        ids=["x"], embeddings=[[1.0, 2.0]], metadatas=[{"unindexed": "a", "list": [1, 2]}]
    )
    client.create_collection("empty")
    second: Any = chromadb.PersistentClient(str(path), quiet(), database="second")
    second.create_collection("everything").add(ids=["only"], embeddings=[[1.0]], documents=["here"])
    theirs: Any = chromadb.PersistentClient(str(path), quiet(), tenant="other_tenant", database="theirs")
    theirs.create_collection("mine").add(ids=["m"], embeddings=[[1.0, 0.0]], metadatas=[{"k": "v"}])


def metadata(number: int) -> dict[str, Any]:
    """Every kind of value."""
    return {
        "i": number,
        "f": float(number % 10),
        "b": number % 2 == 0,
        "s": f"word {number % 7}",
        "ints": [number % 5, 1],
        "floats": [0.5, 1.0],
        "strings": ["a", f"{number % 3}"],
        "bools": [True],
    }


def fill_many(path: Path) -> None:
    """Six collections whose vectors are in files: more of them than the write-ahead log may hold."""
    client: Any = chromadb.PersistentClient(str(path), quiet())
    random = np.random.default_rng(3)
    for number in range(6):
        collection = client.create_collection(f"many{number}", embedding_function=None)
        for start in range(0, 1200, 400):
            names = [f"{row}" for row in range(start, start + 400)]
            collection.add(ids=names, embeddings=random.standard_normal((400, DIMENSION)).astype(np.float32))
