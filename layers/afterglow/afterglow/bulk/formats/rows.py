"""Rows of another database (`bulk.databases`). A collection is one range; positions are numbers of rows."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from afterglow.bulk.databases.database_source import DatabaseSource
from afterglow.bulk.formats.column_mapping import SAMPLE_ROWS
from afterglow.bulk.formats.format import Inspection
from afterglow.bulk.formats.jsonl import map_records
from afterglow.bulk.formats.row_mapper import RowMapper
from afterglow.bulk.row_chunks import RowChunk, RowChunkBuilder
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sources import Source
from afterglow.bulk.types import ColumnMapping, Compression, FileRange, Plan
from afterglow.settings import Settings


def inspect(source: Source, compression: Compression, options: Sidecar, settings: Settings) -> Inspection:
    """Columns and dimension from the first rows."""
    del compression, settings
    assert isinstance(source, DatabaseSource)
    sample = list(islice((row for page in source.pages(0) for row in page), SAMPLE_ROWS))
    if not sample:
        return Inspection(ColumnMapping(), options.dimension or 1, (FileRange(0, 0, 1),))
    columns, dimension = map_records(sample, options, source.name)
    columns = replace(columns, ignored={**columns.ignored, **source.left_out})
    return Inspection(columns, dimension, (FileRange(0, -1, 1),))


def read_chunks(
    source: Source, plan: Plan, file_range: FileRange, *, position: int, lines_read: int, settings: Settings
) -> Iterator[RowChunk]:
    """The rows from `position` on."""
    del file_range, lines_read, settings
    assert isinstance(source, DatabaseSource)
    mapper, builder = RowMapper(plan.columns), RowChunkBuilder(plan.dimension)
    for page in source.pages(position):
        for row in page:
            mapper.add(builder, row, position, plan)
            position += 1
            if len(builder.ids) + len(builder.rejected) >= plan.batch_rows:
                yield builder.build(position, position)
                builder = RowChunkBuilder(plan.dimension)
    yield builder.build(position, position)
