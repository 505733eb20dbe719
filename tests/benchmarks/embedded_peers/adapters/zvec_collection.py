"""zvec: a collection with a graph."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks.embedded_peers.adapters.adapter import K, Records, Vectors, Where
from tests.benchmarks.embedded_peers.adapters.bare_index import EF_CONSTRUCTION, M


class ZvecCollection:
    """A collection."""

    breadths: Sequence[int] = (32, 64, 96, 128, 192, 256, 384)
    has_records = True

    def __init__(self, folder: Path, records: Records) -> None:
        self._records = records
        self._zvec: Any = import_module("zvec")
        zvec, types = self._zvec, self._zvec.DataType
        index = zvec.HnswIndexParam(metric_type=zvec.MetricType.L2, m=M, ef_construction=EF_CONSTRUCTION)
        inverted = zvec.InvertIndexParam()
        schema = zvec.CollectionSchema(
            name="peers",
            fields=[
                zvec.FieldSchema("section", types.STRING, nullable=True, index_param=inverted),
                zvec.FieldSchema("size", types.INT64, nullable=True, index_param=inverted),
                zvec.FieldSchema("document", types.STRING, nullable=True),
            ],
            vectors=[zvec.VectorSchema("vector", types.VECTOR_FP32, records.vectors.shape[1], index_param=index)],
        )
        self._collection = zvec.create_and_open(str(folder / "peers"), schema)

    def load(self, start: int, stop: int) -> None:
        records = self._records
        self._collection.insert(
            [
                self._zvec.Doc(
                    id=f"{row}",
                    vectors={"vector": records.vectors[row].tolist()},
                    fields={
                        "section": records.sections[row],
                        "size": records.sizes[row],
                        "document": records.documents[row],
                    },
                )
                for row in range(start, stop)
            ]
        )

    def finish_index(self) -> None:
        self._collection.flush()
        self._collection.optimize()

    def query(self, vector: Vectors, breadth: int, where: Where | None = None) -> list[str]:
        zvec = self._zvec
        query = zvec.Query("vector", vector=vector.tolist(), param=zvec.HnswQueryParam(ef=breadth))
        found = self._collection.query(query, topk=K, filter=None if where is None else where.sql())
        return [self._records.ids[int(doc.id)] for doc in found]

    def update(self, row: int, vector: Vectors) -> None:
        self._collection.update(self._zvec.Doc(id=f"{row}", vectors={"vector": vector.tolist()}))

    def delete(self, rows: Sequence[int]) -> None:
        self._collection.delete([f"{row}" for row in rows])

    def close(self) -> None:
        self._collection.flush()


open_peer = ZvecCollection
