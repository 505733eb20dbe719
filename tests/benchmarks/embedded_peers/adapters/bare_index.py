"""What bare indexes have in common: they hold vectors by number, build while they add, and are written as one file."""

from collections.abc import Sequence

from tests.benchmarks.embedded_peers.adapters.adapter import Records, Vectors

M, EF_CONSTRUCTION = 16, 200
THREADS = 2


class BareIndex:
    """The operations that a bare index does not have."""

    breadths: Sequence[int] = (16, 24, 32, 48, 64, 96, 128, 192, 256)
    has_records = False

    def __init__(self, records: Records) -> None:
        self.records = records

    def finish_index(self) -> None:
        """Adding is indexing."""

    def update(self, row: int, vector: Vectors) -> None:
        raise NotImplementedError

    def delete(self, rows: Sequence[int]) -> None:
        raise NotImplementedError
