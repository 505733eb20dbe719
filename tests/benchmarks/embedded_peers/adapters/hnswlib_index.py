"""hnswlib: a graph in memory."""

from importlib import import_module
from pathlib import Path

import numpy as np

from tests.benchmarks.embedded_peers.adapters.adapter import K, Records, Vectors, Where
from tests.benchmarks.embedded_peers.adapters.bare_index import EF_CONSTRUCTION, THREADS, BareIndex, M


class HnswlibIndex(BareIndex):
    """An index."""

    def __init__(self, folder: Path, records: Records) -> None:
        super().__init__(records)
        self._file = folder / "index"
        count, dimension = records.vectors.shape
        self._index = import_module("hnswlib").Index(space="l2", dim=dimension)
        self._index.init_index(max_elements=count, M=M, ef_construction=EF_CONSTRUCTION)
        self._index.set_num_threads(THREADS)

    def load(self, start: int, stop: int) -> None:
        self._index.add_items(self.records.vectors[start:stop], np.arange(start, stop))

    def query(self, vector: Vectors, breadth: int, where: Where | None = None) -> list[str]:
        del where
        self._index.set_ef(breadth)
        labels, _ = self._index.knn_query(vector[np.newaxis], k=K, num_threads=1)
        return [self.records.ids[row] for row in labels[0].tolist()]

    def close(self) -> None:
        self._index.save_index(str(self._file))


open_peer = HnswlibIndex
