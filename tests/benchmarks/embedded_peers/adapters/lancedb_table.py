"""LanceDB: a table with an index of clusters and graphs over codes of 8 bits, whose candidates are refined."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks.embedded_peers.adapters.adapter import K, Records, Vectors, Where

_REFINE = 5


class LanceTable:
    """A table."""

    breadths: Sequence[int] = (4, 8, 16, 32, 64)
    has_records = True

    def __init__(self, folder: Path, records: Records) -> None:
        self._database = import_module("lancedb").connect(str(folder))
        self._records = records
        self._table: Any = None

    def load(self, start: int, stop: int) -> None:
        pyarrow, records = import_module("pyarrow"), self._records
        vectors = pyarrow.array(records.vectors[start:stop].ravel())
        rows = pyarrow.table(
            {
                "id": records.ids[start:stop],
                "vector": pyarrow.FixedSizeListArray.from_arrays(vectors, records.vectors.shape[1]),
                "document": records.documents[start:stop],
                "section": records.sections[start:stop],
                "size": records.sizes[start:stop],
            }
        )
        if self._table is None:
            self._table = self._database.create_table("peers", rows)
        else:
            self._table.add(rows)

    def finish_index(self) -> None:
        self._table.optimize()
        self._table.create_index(metric="l2", index_type="IVF_HNSW_SQ")
        self._table.create_scalar_index("section")
        self._table.create_scalar_index("size")

    def query(self, vector: Vectors, breadth: int, where: Where | None = None) -> list[str]:
        search = self._table.search(vector).limit(K).nprobes(breadth).refine_factor(_REFINE)
        if where is not None:
            search = search.where(where.sql(), prefilter=True)
        ids: list[str] = search.select(["id", "document", "section", "size", "_distance"]).to_arrow()["id"].to_pylist()
        return ids

    def update(self, row: int, vector: Vectors) -> None:
        name = self._records.ids[row].replace("'", "''")
        self._table.update(where=f"id = '{name}'", values={"vector": vector.tolist()})

    def delete(self, rows: Sequence[int]) -> None:
        names = ", ".join("'" + self._records.ids[row].replace("'", "''") + "'" for row in rows)
        self._table.delete(f"id IN ({names})")

    def close(self) -> None:
        """Everything is on the disk."""


open_peer = LanceTable
