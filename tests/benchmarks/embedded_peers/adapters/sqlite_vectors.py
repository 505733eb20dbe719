"""sqlite-vec: a virtual table of SQLite, which is scanned. apsw loads extensions wherever Python runs."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from tests.benchmarks.embedded_peers.adapters.adapter import K, Records, Vectors, Where


class SqliteVectors:
    """A table."""

    breadths: Sequence[int] = (0,)
    has_records = True

    def __init__(self, folder: Path, records: Records) -> None:
        self._records = records
        self._connection = import_module("apsw").Connection(str(folder / "vectors.sqlite"))
        self._connection.enable_load_extension(True)
        self._connection.load_extension(import_module("sqlite_vec").loadable_path())
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(
            f"CREATE VIRTUAL TABLE peers USING vec0(vector float[{records.vectors.shape[1]}], section text, size int, "
            "+id text, +document text)"
        )

    def load(self, start: int, stop: int) -> None:
        records = self._records
        rows = (
            (
                row + 1,
                records.vectors[row].tobytes(),
                records.sections[row],
                records.sizes[row],
                records.ids[row],
                records.documents[row],
            )
            for row in range(start, stop)
        )
        with self._connection:
            self._connection.executemany(
                "INSERT INTO peers (rowid, vector, section, size, id, document) VALUES (?, ?, ?, ?, ?, ?)", rows
            )

    def finish_index(self) -> None:
        """It has none."""

    def query(self, vector: Vectors, breadth: int, where: Where | None = None) -> list[str]:
        del breadth
        condition = "" if where is None else f" AND {where.sql()}"
        found = self._connection.execute(
            f"SELECT id, document, section, size FROM peers WHERE vector MATCH ? AND k = {K}{condition} "
            "ORDER BY distance",
            (vector.tobytes(),),
        )
        return [row[0] for row in found]

    def update(self, row: int, vector: Vectors) -> None:
        with self._connection:
            self._connection.execute("UPDATE peers SET vector = ? WHERE rowid = ?", (vector.tobytes(), row + 1))

    def delete(self, rows: Sequence[int]) -> None:
        with self._connection:
            self._connection.executemany("DELETE FROM peers WHERE rowid = ?", [(row + 1,) for row in rows])

    def close(self) -> None:
        self._connection.close()


open_peer = SqliteVectors
