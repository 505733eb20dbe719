"""The interface of a file format. The module of each format implements it; `registry` lists them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from afterglow.bulk.row_chunks import RowChunk
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sources import Source
from afterglow.bulk.types import ColumnMapping, Compression, FileRange, Plan
from afterglow.settings import Settings


@dataclass(frozen=True, slots=True)
class Inspection:
    """The columns of a file, the dimension of its embeddings, and the ranges that workers import independently.

    `delimiter` and `header` are those of a CSV, `matrix` is the `.npy` file with the embeddings of JSON Lines,
    `encoding` is that of a text that is not UTF-8, `sheet` the one of a workbook that was asked for.
    """

    columns: ColumnMapping
    dimension: int
    ranges: tuple[FileRange, ...]
    delimiter: str = ","
    header: tuple[str, ...] = ()
    matrix: Source | None = None
    encoding: str = ""
    sheet: str = ""


class Format(Protocol):
    """A file format: a module with these functions."""

    def inspect(self, source: Source, compression: Compression, options: Sidecar, settings: Settings) -> Inspection:
        """Inspect a file. Raises ImportRejected."""

    def read_chunks(
        self, source: Source, plan: Plan, file_range: FileRange, *, position: int, lines_read: int, settings: Settings
    ) -> Iterator[RowChunk]:
        """The rows of a range from `position` on, after `lines_read` lines of it. Raises ImportRejected."""
