"""Writes to a Chroma directory as one of two processes at once; runs in any generation of chromadb.

`python write_together.py DIRECTORY NAME`: records `NAME-0` … `NAME-99`, whose vectors `vector` returns. Starts when the
other process is ready as well. Which vectors are left in the files depends on their timing.
"""

import sys
import time
from pathlib import Path
from typing import Any

import chromadb
from chromadb.config import Settings

DIMENSION = 8
RECORDS = 100
WRITERS = ("a", "b")


def vector(writer: str, number: int) -> list[float]:
    """All of them distinct."""
    start = 125 * WRITERS.index(writer) + number * 7 / 8
    return [start + axis / 8 for axis in range(DIMENSION)]


def wait_for(directory: Path, writers: tuple[str, ...]) -> None:
    """Wait until these have opened the directory."""
    while not all(directory.with_name(f"{directory.name}.{name}").exists() for name in writers):
        time.sleep(0.01)


def main() -> None:
    """Write a hundred records in adds of five."""
    directory, writer = Path(sys.argv[1]), sys.argv[2]
    # One after the other: until 0.5 two processes cannot create the tables at once.
    wait_for(directory, WRITERS[: WRITERS.index(writer)])
    client = chromadb.PersistentClient(str(directory), Settings(anonymized_telemetry=False))
    metadata = {"hnsw:batch_size": 10, "hnsw:sync_threshold": 20}
    collection: Any = client.get_or_create_collection("shared", metadata=metadata, embedding_function=None)
    directory.with_name(f"{directory.name}.{writer}").touch()
    wait_for(directory, WRITERS)
    for start in range(0, RECORDS, 5):
        numbers = range(start, start + 5)
        collection.add(
            ids=[f"{writer}-{number}" for number in numbers],
            embeddings=[vector(writer, number) for number in numbers],
            documents=[f"document {writer}-{number}" for number in numbers],
        )
        time.sleep(0.01)


if __name__ == "__main__":
    main()
