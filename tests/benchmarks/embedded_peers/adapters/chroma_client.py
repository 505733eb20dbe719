"""What clients with Chroma's interface have in common: its own embedded one, and Afterglow's."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks.embedded_peers.adapters.adapter import K, Records, Vectors, Where


class ChromaClient:
    """A collection of an embedded client."""

    breadths: Sequence[int] = (0,)
    has_records = True

    def __init__(self, client: Any, records: Records, wait: Callable[[], None], close: Callable[[], None]) -> None:
        self._records = records
        self._wait, self.close = wait, close
        self._collection = client.create_collection("peers", embedding_function=None)

    def load(self, start: int, stop: int) -> None:
        records = self._records
        pairs = zip(records.sections[start:stop], records.sizes[start:stop], strict=True)
        self._collection.add(
            ids=records.ids[start:stop],
            embeddings=records.vectors[start:stop],
            documents=records.documents[start:stop],
            metadatas=[{"section": section, "size": size} for section, size in pairs],
        )

    def finish_index(self) -> None:
        self._wait()

    def query(self, vector: Vectors, breadth: int, where: Where | None = None) -> list[str]:
        del breadth
        found = self._collection.query(
            query_embeddings=[vector],
            n_results=K,
            where=None if where is None else where.mongo(),
            include=["distances", "documents", "metadatas"],
        )
        ids: list[str] = found["ids"][0]
        return ids

    def update(self, row: int, vector: Vectors) -> None:
        self._collection.update(ids=[self._records.ids[row]], embeddings=[vector])

    def delete(self, rows: Sequence[int]) -> None:
        self._collection.delete(ids=[self._records.ids[row] for row in rows])

    @property
    def identity(self) -> Any:
        """The id of the collection."""
        return self._collection.id
