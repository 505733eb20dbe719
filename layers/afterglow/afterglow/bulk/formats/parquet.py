"""Parquet: DuckDB reads files, pyarrow writes them.

The ranges of a file are made of row groups. The reader fetches a window of rows at a time, in bounded memory and
without a thread of its own. Row groups outside a range are neither fetched nor decoded: a filter on the row number
skips them, and the (sparse) local copy of an object has only the bytes of the range's own groups. The expansion of a
file is counted, because a page with one repeated value has the same size for any number of rows. The writer's columns
are id, embedding, document, uri and metadata (JSON).
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterglow.bulk.endpoint import RecordStream
from afterglow.bulk.formats import column_mapping, parquet_rows
from afterglow.bulk.formats.column_mapping import SAMPLE_ROWS
from afterglow.bulk.formats.format import Inspection
from afterglow.bulk.formats.parquet_rows import Rows, is_number, size_in_bytes
from afterglow.bulk.row_chunks import RowChunk
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sources import Source, Span
from afterglow.bulk.types import Compression, FileRange, ImportRejected, Plan
from afterglow.collection.types import Records
from afterglow.errors import InvalidArgument
from afterglow.settings import Settings
from afterglow.temporary import Purpose, TemporaryFolder

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection

_WINDOW_BYTES = 64 * 1024 * 1024
_FIRST_WINDOW, _LEAST_WINDOW, _GROWTH = 128, 64, 16
_MAX_FOOTER_BYTES = 256 * 1024 * 1024
_FOOTER_MEMORY = 256 * 1024 * 1024
_FREE_EXPANSION = 256 * 1024 * 1024
_MAGIC = (0, 4)


@dataclass(frozen=True, slots=True)
class Group:
    """A row group: its rows, the spans of its bytes, and their number after decoding."""

    start: int
    end: int
    spans: list[Span]
    expanded: int


@dataclass(frozen=True, slots=True)
class Footer:
    """The footer of a file: its columns with DuckDB's names of their types, and its row groups."""

    types: dict[str, str]
    groups: list[Group]


def inspect(source: Source, compression: Compression, options: Sidecar, settings: Settings) -> Inspection:
    """Columns and ranges from the footer, dimension from the first rows."""
    del compression  # the format compresses its pages
    footer = read_footer(source)
    names = list(footer.types)
    columns = column_mapping.map_columns(
        names, options, name=source.name, every=True, is_number=lambda column: is_number(footer.types[column])
    )
    columns = parquet_rows.without_unsupported(footer.types, columns)
    if columns.embedding_columns:
        return Inspection(columns, len(columns.embedding_columns), _row_group_ranges(footer, settings))
    lists = [name for name, kind in footer.types.items() if kind.endswith("]") and is_number(kind.partition("[")[0])]
    embedding = column_mapping.require_embedding(columns, source.name, names, lists)
    if embedding is None:
        return Inspection(columns, 0, _row_group_ranges(footer, settings))
    expression = parquet_rows.select_embedding(embedding, footer.types[embedding])
    values = _sample(source, footer, expression, settings)
    dimension = column_mapping.infer_dimension(values, options, source.name, is_empty=not footer.groups)
    return Inspection(columns, dimension, _row_group_ranges(footer, settings))


def _row_group_ranges(footer: Footer, settings: Settings) -> tuple[FileRange, ...]:
    ranges: list[FileRange] = []
    start, size = 0, 0
    for group in footer.groups:
        size += sum(length for _, length in group.spans)
        if size >= settings.import_range_bytes:
            ranges.append(FileRange(start, group.end, start + 1))
            start, size = group.end, 0
    end = footer.groups[-1].end if footer.groups else 0
    if end > start or not ranges:
        ranges.append(FileRange(start, end, start + 1))
    return tuple(ranges)


def read_footer(source: Source) -> Footer:
    """Read the footer. Raises ImportRejected."""
    spans = [_MAGIC, _footer_span(source)]
    with _open(source, spans, _FOOTER_MEMORY) as (connection, path):
        types = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [path]).fetchall()
        chunks = connection.execute(
            "SELECT row_group_id, row_group_num_rows, least(dictionary_page_offset, data_page_offset), "
            "total_compressed_size, total_uncompressed_size FROM parquet_metadata(?) ORDER BY row_group_id",
            [path],
        ).fetchall()
    groups: list[Group] = []
    last, row = None, 0
    for number, rows, offset, length, expanded in chunks:
        if rows < 0 or length < 0 or not 0 <= offset <= source.size - length:
            raise ImportRejected(
                f"{source.name} is damaged: row group {number} would be at byte {offset}, {length} long"
            )
        if number != last:
            groups.append(Group(row, row + rows, [], 0))
            last, row = number, row + rows
        group = groups[-1]
        groups[-1] = Group(group.start, group.end, [*group.spans, (offset, length)], group.expanded + max(expanded, 0))
    return Footer({name: kind for name, kind, *_ in types}, [group for group in groups if group.end > group.start])


def _sample(source: Source, footer: Footer, expression: str, settings: Settings) -> list[Any]:
    """The values of an expression in the first rows of the first row group. Raises ImportRejected."""
    if not footer.groups:
        return []
    rows = min(SAMPLE_ROWS, footer.groups[0].end)
    statement = f"SELECT {expression} FROM read_parquet(?) LIMIT {rows}"  # noqa: S608  quoted names
    with _open(source, _spans(source, footer.groups[:1]), settings.import_memory_bytes) as (connection, path):
        return [value for (value,) in connection.execute(statement, [path]).fetchall()]


def read_chunks(
    source: Source, plan: Plan, file_range: FileRange, *, position: int, lines_read: int, settings: Settings
) -> Iterator[RowChunk]:
    """The rows of a range from row `position` (from 0) on, a window at a time."""
    del lines_read  # rows are numbered by the footer
    footer = read_footer(source)
    groups = [group for group in footer.groups if group.start < file_range.end and group.end > position]
    rows = Rows(plan, footer.types)
    limit = max(_FREE_EXPANSION, settings.import_max_decompression_ratio * source.size)
    expanded_per_row = max((group.expanded / (group.end - group.start) for group in groups), default=0.0)
    per_row = max(expanded_per_row, 4 * plan.dimension)
    # The footer does not record the expansion of a repeated value: the first window is small and shows it.
    window = _FIRST_WINDOW
    expanded, start = 0, position
    if start >= file_range.end:
        yield RowChunk(None, [], file_range.end, file_range.end - file_range.start)
        return
    with _open(source, _spans(source, groups), settings.import_memory_bytes) as (connection, path):
        while start < file_range.end:
            end = min(start + window, file_range.end)
            columns = rows.read(connection, path, start, end)
            if columns is None:
                if window <= _LEAST_WINDOW:
                    raise ImportRejected(
                        f"{source.name} takes more memory than AFTERGLOW_IMPORT_MEMORY_BYTES from row {start + 1} on: "
                        f"smaller row groups take less"
                    )
                window = max(window // 4, _LEAST_WINDOW)
                continue
            window_bytes = size_in_bytes(columns)
            expanded += window_bytes
            if expanded > limit:
                raise ImportRejected(
                    f"{source.name} has {source.size} bytes and expands to more than {limit}: "
                    f"AFTERGLOW_IMPORT_MAX_DECOMPRESSION_RATIO is {settings.import_max_decompression_ratio}"
                )
            for first in range(0, end - start, plan.batch_rows):
                last = min(first + plan.batch_rows, end - start)
                yield rows.to_chunk(
                    {name: column[first:last] for name, column in columns.items()}, start + first, file_range
                )
            per_row = max(per_row, window_bytes / (end - start))
            start, window = end, max(min(int(_WINDOW_BYTES / per_row), window * _GROWTH), _LEAST_WINDOW)


def _spans(source: Source, groups: Sequence[Group]) -> list[Span]:
    return [_MAGIC, _footer_span(source), *(span for group in groups for span in group.spans)]


def _footer_span(source: Source) -> Span:
    """The span of the footer, with its magic number. Raises ImportRejected if it has none."""
    end = source.read(max(source.size - 8, 0), 8)
    if len(end) < 8 or end[4:] != b"PAR1" or source.size < 12:
        raise ImportRejected(f"{source.name} is not a complete Parquet file: it has no footer")
    (length,) = struct.unpack("<I", end[:4])
    if length > min(source.size - 12, _MAX_FOOTER_BYTES):
        raise ImportRejected(f"{source.name} is damaged: its footer would have {length} bytes")
    return source.size - 8 - length, length + 8


@contextmanager
def _open(source: Source, spans: Sequence[Span], memory: int) -> Iterator[tuple["DuckDBPyConnection", str]]:
    """DuckDB with restricted resources, and a path to the `spans` of the file. Its errors become ImportRejected."""
    try:
        import duckdb
    except ModuleNotFoundError:
        raise ImportRejected(
            "duckdb is not installed, which Parquet needs: pip install 'afterglow-db[imports]'"
        ) from None
    # A fixed name: DuckDB would read some characters of the file's own name as a pattern.
    with source.local_copy(spans) as file, TemporaryFolder(Purpose.IMPORT) as folder:
        path = folder.path / "file.parquet"
        path.symlink_to(file)
        connection = duckdb.connect(
            config={
                "threads": 1,
                "memory_limit": f"{memory}B",
                "temp_directory": "",
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "preserve_insertion_order": True,
            }
        )
        try:
            # A longer query would print one to standard output.
            connection.execute("SET enable_progress_bar = false")
            yield connection, str(path)
        except duckdb.OutOfMemoryException:
            raise ImportRejected(
                f"{source.name} takes more memory than AFTERGLOW_IMPORT_MEMORY_BYTES: smaller row groups take less"
            ) from None
        except duckdb.Error as error:
            raise ImportRejected(f"{source.name} cannot be read: {' '.join(str(error).split())[:300]}") from None
        finally:
            connection.close()


def require_pyarrow() -> None:
    """Raises InvalidArgument if pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise InvalidArgument("pyarrow is not installed, which Parquet needs: pip install 'afterglow-db[parquet]'")


def write(path: Path, stream: RecordStream, dimension: int | None, wrote: Callable[[int], None]) -> int:
    """Write the records; returns their number. `wrote` gets the number of each page."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    schema = pyarrow.schema(
        [
            pyarrow.field("id", pyarrow.string(), nullable=False),
            pyarrow.field("embedding", pyarrow.list_(pyarrow.float32(), dimension or -1), nullable=False),
            pyarrow.field("document", pyarrow.string()),
            pyarrow.field("uri", pyarrow.string()),
            pyarrow.field("metadata", pyarrow.string()),
        ]
    )
    count = 0
    # Byte stream split compresses floats by another third; a dictionary of them would not help.
    with ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=False,
        use_byte_stream_split=["embedding.list.element"],
        write_statistics=["id"],
    ) as file:
        for page in stream.pages:
            file.write_batch(_batch(page, schema))
            count += len(page.ids)
            wrote(len(page.ids))
    return count


def _batch(page: Records, schema: "pyarrow.Schema") -> "pyarrow.RecordBatch":
    import pyarrow

    assert page.embeddings is not None
    missing = [None] * len(page.ids)
    flat = pyarrow.array(page.embeddings.reshape(-1))
    metadatas = [None if value is None else value.decode() for value in page.metadatas or missing]
    return pyarrow.record_batch(
        [
            pyarrow.array(page.ids, pyarrow.string()),
            pyarrow.FixedSizeListArray.from_arrays(flat, page.embeddings.shape[1]),
            pyarrow.array(page.documents or missing, pyarrow.string()),
            pyarrow.array(page.uris or missing, pyarrow.string()),
            pyarrow.array(metadatas, pyarrow.string()),
        ],
        schema=schema,
    )
