"""Qdrant's local mode: Python and numpy, scanned."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks.embedded_peers.adapters.adapter import K, Records, Vectors, Where


class QdrantLocal:
    """A collection."""

    breadths: Sequence[int] = (0,)
    has_records = True

    def __init__(self, folder: Path, records: Records) -> None:
        self._records = records
        self._models: Any = import_module("qdrant_client.models")
        self._client = import_module("qdrant_client").QdrantClient(path=str(folder))
        parameters = self._models.VectorParams(size=records.vectors.shape[1], distance=self._models.Distance.EUCLID)
        self._client.create_collection("peers", vectors_config=parameters)

    def load(self, start: int, stop: int) -> None:
        records = self._records
        points = [
            self._models.PointStruct(
                id=row,
                vector=records.vectors[row].tolist(),
                payload={
                    "section": records.sections[row],
                    "size": records.sizes[row],
                    "document": records.documents[row],
                },
            )
            for row in range(start, stop)
        ]
        self._client.upsert("peers", points)

    def finish_index(self) -> None:
        """It has none."""

    def query(self, vector: Vectors, breadth: int, where: Where | None = None) -> list[str]:
        del breadth
        found = self._client.query_points("peers", query=vector, limit=K, query_filter=self._filter(where))
        return [self._records.ids[point.id] for point in found.points]

    def update(self, row: int, vector: Vectors) -> None:
        self._client.update_vectors("peers", [self._models.PointVectors(id=row, vector=vector.tolist())])

    def delete(self, rows: Sequence[int]) -> None:
        self._client.delete("peers", points_selector=list(rows))

    def close(self) -> None:
        self._client.close()

    def _filter(self, where: Where | None) -> Any:
        if where is None:
            return None
        models = self._models
        if where.section is None:
            condition = models.FieldCondition(key="size", range=models.Range(gt=where.over))
        else:
            condition = models.FieldCondition(key="section", match=models.MatchValue(value=where.section))
        return models.Filter(must=[condition])


open_peer = QdrantLocal
