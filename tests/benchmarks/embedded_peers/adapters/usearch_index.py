"""usearch: a graph (HNSW) in memory."""

from importlib import import_module
from pathlib import Path

import numpy as np

from tests.benchmarks.embedded_peers.adapters.adapter import K, Records, Vectors, Where
from tests.benchmarks.embedded_peers.adapters.bare_index import EF_CONSTRUCTION, THREADS, BareIndex, M


class UsearchIndex(BareIndex):
    """An index."""

    def __init__(self, folder: Path, records: Records) -> None:
        super().__init__(records)
        self._file = folder / "index"
        self._index = import_module("usearch.index").Index(
            ndim=records.vectors.shape[1], metric="l2sq", dtype="f32", connectivity=M, expansion_add=EF_CONSTRUCTION
        )

    def load(self, start: int, stop: int) -> None:
        self._index.add(np.arange(start, stop), self.records.vectors[start:stop], threads=THREADS)

    def query(self, vector: Vectors, breadth: int, where: Where | None = None) -> list[str]:
        del where
        self._index.expansion_search = breadth
        return [self.records.ids[row] for row in self._index.search(vector, K).keys.tolist()]

    def close(self) -> None:
        self._index.save(str(self._file))


open_peer = UsearchIndex
