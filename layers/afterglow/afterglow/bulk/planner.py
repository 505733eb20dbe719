"""Makes the plan of a file: detect its format, inspect it, open the target collection."""

import xxhash

from afterglow.bulk import sidecar
from afterglow.bulk.databases.database_source import DatabaseSource
from afterglow.bulk.formats.detect import detect_format
from afterglow.bulk.formats.registry import FORMATS
from afterglow.bulk.sidecar import GivenOptions
from afterglow.bulk.sink import Sink
from afterglow.bulk.sources import Source
from afterglow.bulk.types import Compression, FileFormat, ImportRejected, Plan, Target
from afterglow.settings import Settings, System

_BATCH_BYTES = 8 * 1024 * 1024
_BATCH_TEXTS = 256


def make_plan(
    source: Source, target: Target, given: GivenOptions, sink: Sink, *, settings: Settings, system: System
) -> Plan:
    """The plan of a file; creates the collection if it does not exist.

    Raises ImportRejected, and the errors of creating a collection.
    """
    kind, compression = _kind_of(source)
    own = source.options if isinstance(source, DatabaseSource) else sidecar.read_sidecar(source)
    # The export of a collection without records is such a file, and its sidecar names the columns.
    if source.size == 0 and kind is not FileFormat.ROWS and not (given.sidecar or own).columns:
        raise ImportRejected(f"{source.name} is empty: it has 0 bytes")
    options = given.apply_to(own)
    inspection = FORMATS[kind].inspect(source, compression, options, settings)
    opened = sink.open(target, options)
    # 0: the file has no embeddings, its documents are embedded as they are written.
    dimension = inspection.dimension and (opened.dimension or inspection.dimension)
    columns, matrix = inspection.columns, inspection.matrix
    vectors, vectors_version = (None, "") if matrix is None else (matrix.key, matrix.version)
    # The same file, collection, sheet and columns have the same id.
    identity: tuple[object, ...] = (source.key, source.version, vectors, vectors_version, opened.collection_id)
    identity += (columns, dimension, *([inspection.sheet.casefold()] if inspection.sheet else []))
    return Plan(
        id=xxhash.xxh3_128_hexdigest("\n".join(map(str, identity)).encode()),
        key=source.key,
        name=source.name,
        size=source.size,
        version=source.version,
        vectors=vectors,
        target=target,
        collection_id=opened.collection_id,
        dimension=dimension,
        kind=kind,
        compression=compression,
        columns=columns,
        delimiter=inspection.delimiter,
        header=inspection.header,
        encoding=inspection.encoding,
        batch_rows=max(
            min(options.batch_size or (_BATCH_BYTES // (4 * dimension) if dimension else _BATCH_TEXTS), sink.max_rows),
            1,
        ),
        ranges=inspection.ranges,
        started_at=system.now(),
        sheet=inspection.sheet,
    )


def _kind_of(source: Source) -> tuple[FileFormat, Compression]:
    """Raises ImportRejected."""
    if isinstance(source, DatabaseSource):
        return FileFormat.ROWS, Compression.NONE
    detected = detect_format(source.name)
    if detected is None:
        raise ImportRejected(
            f"{source.name}: files with this name are not imported, only .jsonl, .ndjson, .csv or .tsv (also "
            f".gz, .zst), .parquet, .json, .npy or .npz, .xlsx, or .jsonl with .npy"
        )
    return detected
