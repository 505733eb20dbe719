"""faiss: a graph (HNSW) in memory."""

from importlib import import_module
from pathlib import Path

import numpy as np

from tests.benchmarks.embedded_peers.adapters.adapter import K, Records, Vectors, Where
from tests.benchmarks.embedded_peers.adapters.bare_index import EF_CONSTRUCTION, THREADS, BareIndex, M


class FaissIndex(BareIndex):
    """An index."""

    def __init__(self, folder: Path, records: Records) -> None:
        super().__init__(records)
        self._file = folder / "index"
        self._faiss = import_module("faiss")
        self._faiss.omp_set_num_threads(THREADS)
        self._index = self._faiss.IndexHNSWFlat(records.vectors.shape[1], M)
        self._index.hnsw.efConstruction = EF_CONSTRUCTION

    def load(self, start: int, stop: int) -> None:
        self._index.add(self.records.vectors[start:stop])

    def finish_index(self) -> None:
        self._faiss.omp_set_num_threads(1)

    def query(self, vector: Vectors, breadth: int, where: Where | None = None) -> list[str]:
        del where
        self._index.hnsw.efSearch = breadth
        _, rows = self._index.search(vector[np.newaxis], K)
        return [self.records.ids[row] for row in rows[0].tolist()]

    def close(self) -> None:
        self._faiss.write_index(self._index, str(self._file))


open_peer = FaissIndex
