"""Makes the plan of a file: format, columns, target, ranges.

The sidecar gives the columns their roles, else their names do; of JSON Lines and CSV the first rows are sampled. Plain
JSON Lines are split at line breaks, which takes one read of the file; Parquet is split by row groups. CSV, whose
records may hold line breaks, and files compressed as a whole are one range.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import xxhash

from afterglow.bulk import row_values, sidecar
from afterglow.bulk.formats import csv, jsonl, parquet, parquet_rows, streams
from afterglow.bulk.formats.detect import COMPRESSIONS, NPY, SIDECAR_SUFFIX, detect_format
from afterglow.bulk.formats.npy import Vectors
from afterglow.bulk.row_values import RowError
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sink import Sink
from afterglow.bulk.sources import CHUNK_BYTES, Source
from afterglow.bulk.types import ColumnMapping, Compression, FileFormat, FileRange, ImportRejected, Plan, Target
from afterglow.settings import Settings, System

_NAMES = {"id": ("id",), "embedding": ("embedding", "vector"), "document": ("document", "text"), "uri": ("uri",)}
_RECORD = "metadata"
_SAMPLE_ROWS = 200
_BATCH_BYTES = 8 * 1024 * 1024
_BLANKS = (b"", b"\r")


def companion_of(source: Source) -> Source | None:
    """The file with the other columns of a `.npy` file of embeddings, None if there is none."""
    stem = source.name.rpartition("/")[2].removesuffix(NPY)
    names = [f"{stem}{suffix}{compression}" for suffix in (".jsonl", ".ndjson") for compression in ("", *COMPRESSIONS)]
    return next((sibling for sibling in map(source.sibling, names) if sibling is not None), None)


@dataclass(frozen=True, slots=True)
class _Inspection:
    """The columns of a file and the dimensions in its sample; `is_empty`: no rows, which a sidecar makes valid."""

    columns: ColumnMapping
    dimensions: Sequence[int | None]
    is_empty: bool = False
    delimiter: str = ","
    header: tuple[str, ...] = ()


def make_plan(
    source: Source, target: Target, override: Sidecar | None, sink: Sink, *, settings: Settings, system: System
) -> Plan:
    """The plan of a file; creates the collection if it does not exist. `override` replaces the file's own sidecar.

    Raises ImportRejected, and the errors of creating a collection.
    """
    detected = detect_format(source.name)
    if detected is None:
        raise ImportRejected(
            f"{source.name}: files with this name are not imported, only .jsonl, .ndjson, .csv or .tsv (also "
            f".gz, .zst), .parquet, or .jsonl with .npy"
        )
    kind, compression = detected
    stem = source.name.rpartition("/")[2]
    sibling = source.sibling(stem + SIDECAR_SUFFIX)
    options = override or (Sidecar() if sibling is None else sidecar.parse(sibling.read(0, sibling.size), sibling.name))
    matrix = _sibling_matrix(source, kind)
    footer = parquet.read_footer(source) if kind is FileFormat.PARQUET else None
    if footer is not None:
        inspection = _inspect_parquet(source, footer, options, settings)
    elif kind is FileFormat.CSV:
        inspection = _inspect_csv(source, compression, options, settings)
    else:
        inspection = _inspect_jsonl(source, compression, options, settings)
    if matrix is None and inspection.columns.embedding is None:
        names = ", ".join(_NAMES["embedding"])
        raise ImportRejected(
            f"{source.name} has no embeddings: expected a column named {names}, a column named by a sidecar, or a .npy "
            f"file alongside JSON Lines; Afterglow computes no embeddings"
        )
    vectors = None if matrix is None else Vectors(matrix)
    dimension = vectors.dimension if vectors is not None else options.dimension or _most_common(inspection.dimensions)
    if dimension is None and inspection.is_empty:
        dimension = 1  # there is no vector
    if dimension is None:
        raise ImportRejected(f"{source.name}: none of the first rows has an embedding; a sidecar can set the dimension")
    opened = sink.open(target, options)
    dimension = opened.dimension or dimension
    plan = Plan(
        id="",
        key=source.key,
        name=source.name,
        size=source.size,
        version=source.version,
        vectors=None if matrix is None else matrix.key,
        target=target,
        collection_id=opened.collection_id,
        dimension=dimension,
        kind=kind,
        compression=compression,
        columns=inspection.columns,
        delimiter=inspection.delimiter,
        header=inspection.header,
        batch_rows=max(min(options.batch_size or _BATCH_BYTES // (4 * dimension), sink.max_rows), 1),
        ranges=(),
        started_at=system.now(),
    )
    plan = replace(plan, id=_id(plan, "" if matrix is None else matrix.version))
    if footer is not None:
        return replace(plan, ranges=_row_group_ranges(footer, settings))
    if kind is FileFormat.JSONL and compression is Compression.NONE:
        return replace(plan, ranges=tuple(_line_ranges(source, settings, skip_blank=matrix is not None)))
    return replace(plan, ranges=(FileRange(0, -1, 1),))


def failed_id(source: Source, target: Target) -> str:
    """The id of an import without a plan."""
    fields = "\n".join((source.key, source.version, target.tenant, target.database, target.collection))
    return xxhash.xxh3_128_hexdigest(fields.encode())


def _id(plan: Plan, vectors: str) -> str:
    """The same id for the same file, collection and columns."""
    fields = (plan.key, plan.version, plan.vectors, vectors, plan.collection_id, plan.columns, plan.dimension)
    return xxhash.xxh3_128_hexdigest("\n".join(map(str, fields)).encode())


def _sibling_matrix(source: Source, kind: FileFormat) -> Source | None:
    if kind is not FileFormat.JSONL:
        return None
    stem = source.name.rpartition("/")[2]
    for suffix in COMPRESSIONS:
        stem = stem.removesuffix(suffix)
    return source.sibling(stem.rpartition(".")[0] + NPY)


def _most_common(dimensions: Sequence[int | None]) -> int | None:
    counts = Counter(dimension for dimension in dimensions if dimension)
    return max(counts, key=lambda dimension: counts[dimension], default=None)


def map_columns(names: Sequence[str], options: Sidecar, *, is_record: bool, name: str, every: bool) -> ColumnMapping:
    """The roles of a file's columns. With `every`, `names` is complete. Raises ImportRejected."""
    roles: dict[str, str | None] = {}
    for role, usual in _NAMES.items():
        column = options.columns.get(role)
        if column is not None and column not in names and every:
            raise ImportRejected(f"{name} has no column {column!r}, which the sidecar names for {role}")
        roles[role] = column or next((name for name in usual if name in names), None)
    record, others = None, None
    if isinstance(options.metadata, str):
        record = options.metadata
    elif options.metadata is not None:
        others = options.metadata
    elif is_record:
        record = _RECORD
    elif every:
        others = tuple(name for name in names if name not in roles.values())
    missing = [name for name in (record, *(others or ())) if name is not None and name not in names]
    if missing and every:
        raise ImportRejected(f"{name} has no column {missing[0]!r}, which the sidecar names for metadata")
    for key in others or ():
        problem = row_values.key_error(key)
        if problem is not None:
            raise ImportRejected(f"{name}: {problem}: a sidecar can list the columns that are metadata")
    return ColumnMapping(
        id=roles["id"],
        embedding=roles["embedding"],
        document=roles["document"],
        uri=roles["uri"],
        record=record,
        others=others,
    )


def _inspect_parquet(source: Source, footer: parquet.Footer, options: Sidecar, settings: Settings) -> _Inspection:
    names, kind = list(footer.types), footer.types.get(_RECORD, "")
    is_record = kind.startswith(("STRUCT", "MAP", "JSON"))
    if kind == "VARCHAR":
        texts = parquet.sample(source, footer, parquet_rows.quote_name(_RECORD), settings)
        is_record = all(text is None or text.startswith("{") for text in texts)
    columns = map_columns(names, options, is_record=is_record, name=source.name, every=True)
    parquet_rows.validate_types(footer.types, columns, source.name)
    if columns.embedding is None:
        return _Inspection(columns, [])
    expression = parquet_rows.select_embedding(columns.embedding, footer.types[columns.embedding])
    dimensions = list(map(row_values.embedding_dimension, parquet.sample(source, footer, expression, settings)))
    return _Inspection(columns, dimensions, is_empty=not footer.groups)


def _inspect_csv(source: Source, compression: Compression, options: Sidecar, settings: Settings) -> _Inspection:
    delimiter, header = csv.read_header(source, compression, options.delimiter, settings)
    sample = list(_records(csv.CsvReader(source, compression, delimiter, settings)))[1:]
    rows = [record for record in sample if len(record) == len(header)]
    types = {**csv.infer_types(header, sample), **options.types}
    is_record = types.get(_RECORD) == "json" and all(row[header.index(_RECORD)][:1] in ("", "{") for row in rows)
    columns = map_columns(header, options, is_record=is_record, name=source.name, every=True)
    dimensions: list[int | None] = []
    if columns.embedding is not None:
        dimensions = [row_values.embedding_dimension(row[header.index(columns.embedding)]) for row in rows]
    return _Inspection(replace(columns, types=types), dimensions, delimiter=delimiter, header=header)


def _records(records: csv.CsvReader) -> Iterator[list[str]]:
    for _ in range(_SAMPLE_ROWS):
        start = records.end
        try:
            record = records.next()
        except RowError:
            if records.end == start:
                return
            continue
        if record is None:
            return
        if record:
            yield record


def _inspect_jsonl(source: Source, compression: Compression, options: Sidecar, settings: Settings) -> _Inspection:
    sample = []
    for line in islice(streams.lines(source, compression, 0, -1, settings), _SAMPLE_ROWS):
        try:
            sample.append(jsonl.parse_line(line.text or b"", first=line.start == 0))
        except RowError:
            continue
    names = list(dict.fromkeys(name for record in sample for name in record))
    is_record = any(type(record.get(_RECORD)) is dict for record in sample)
    if not sample and not options.columns:
        raise ImportRejected(f"{source.name}: none of its first lines is a JSON object")
    columns = map_columns(names, options, is_record=is_record, name=source.name, every=False)
    embedding = columns.embedding
    values = [] if embedding is None else [record.get(embedding) for record in sample]
    dimensions = list(map(row_values.embedding_dimension, values))
    return _Inspection(columns, dimensions, is_empty=not sample)


def _line_ranges(source: Source, settings: Settings, *, skip_blank: bool) -> Iterator[FileRange]:
    """Ranges of about `import_range_bytes`, of complete lines; with `skip_blank`, `line` does not count blank lines."""
    start, line, position, line_count = 0, 1, 0, 0
    open_line = b""  # the start of an incomplete line: enough to know whether it is blank
    for chunk in streams.read_raw(source, 0, source.size, min(CHUNK_BYTES, settings.import_range_bytes)):
        length = 0
        if skip_blank:
            lines = (open_line + chunk).split(b"\n")
            open_line = lines.pop()[:2]
            line_count += sum(text.strip() not in _BLANKS for text in lines)
        else:
            line_count += chunk.count(b"\n")
        if position + len(chunk) - start >= settings.import_range_bytes:
            length = chunk.rfind(b"\n") + 1
        if length:
            yield FileRange(start, position + length, line)
            start, line = position + length, line + line_count
            line_count = 0
        position += len(chunk)
    if position > start or not position:
        yield FileRange(start, position, line)


def _row_group_ranges(footer: parquet.Footer, settings: Settings) -> tuple[FileRange, ...]:
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
