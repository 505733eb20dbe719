"""From a file to a plan: what it is, what its columns are, where it goes, how it is split.

Columns have their roles from the sidecar, else by their names; of JSON Lines and CSV a sample of the first rows is
looked at. Plain JSON Lines are split at line breaks, which takes reading them once; Parquet by row groups; CSV, whose
records may hold line breaks, and what is compressed as a whole, are one range.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import xxhash

from afterglow.bulk import row_values, sidecar
from afterglow.bulk.formats import csv, jsonl, parquet, parquet_rows, streams
from afterglow.bulk.formats.detect import COMPRESSIONS, NPY, SUFFIX, detect_format
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
    """The file of the rest that lies beside a `.npy` file of embeddings."""
    stem = source.name.rpartition("/")[2].removesuffix(NPY)
    names = [f"{stem}{suffix}{also}" for suffix in (".jsonl", ".ndjson") for also in ("", *COMPRESSIONS)]
    return next((found for found in map(source.sibling, names) if found is not None), None)


@dataclass(frozen=True, slots=True)
class _Inspection:
    """What a look at the file says. `is_empty`: it has no row, which is fine where a sidecar says what one would be."""

    columns: ColumnMapping
    dimensions: Sequence[int | None]
    is_empty: bool = False
    delimiter: str = ","
    header: tuple[str, ...] = ()


def make_plan(
    source: Source, target: Target, override: Sidecar | None, sink: Sink, *, settings: Settings, system: System
) -> Plan:
    """The plan of a file; the collection is made where there is none. `given` goes before the file's own sidecar.

    Raises Refused, and what making the collection raises.
    """
    found = detect_format(source.name)
    if found is None:
        raise ImportRejected(
            f"{source.name}: its name says nothing that is imported: .jsonl, .ndjson, .csv or .tsv (also .gz, .zst), "
            f".parquet, or .jsonl with .npy"
        )
    kind, compression = found
    stem = source.name.rpartition("/")[2]
    beside = source.sibling(stem + SUFFIX)
    said = override or (Sidecar() if beside is None else sidecar.parse(beside.read(0, beside.size), beside.name))
    matrix = _sibling_matrix(source, kind)
    footer = parquet.read_footer(source) if kind is FileFormat.PARQUET else None
    if footer is not None:
        look = _inspect_parquet(source, footer, said, settings)
    elif kind is FileFormat.CSV:
        look = _inspect_csv(source, compression, said, settings)
    else:
        look = _inspect_jsonl(source, compression, said, settings)
    if matrix is None and look.columns.embedding is None:
        names = ", ".join(_NAMES["embedding"])
        raise ImportRejected(
            f"{source.name} has no embeddings: a column named {names}, or one that a sidecar names, or a .npy file "
            f"beside JSON Lines; none are made here"
        )
    vectors = None if matrix is None else Vectors(matrix)
    dimension = vectors.dimension if vectors is not None else said.dimension or _most_common(look.dimensions)
    if dimension is None and look.is_empty:
        dimension = 1  # of no vector
    if dimension is None:
        raise ImportRejected(
            f"{source.name}: none of the first rows has an embedding: a sidecar may name the dimension"
        )
    opened = sink.open(target, said)
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
        columns=look.columns,
        delimiter=look.delimiter,
        header=look.header,
        batch_rows=max(min(said.batch_size or _BATCH_BYTES // (4 * dimension), sink.max_rows), 1),
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
    """The id of an import that came to no plan."""
    told = "\n".join((source.key, source.version, target.tenant, target.database, target.collection))
    return xxhash.xxh3_128_hexdigest(told.encode())


def _id(plan: Plan, vectors: str) -> str:
    """The same for the same file, into the same collection, split in the same way."""
    told = (plan.key, plan.version, plan.vectors, vectors, plan.collection_id, plan.columns, plan.dimension)
    return xxhash.xxh3_128_hexdigest("\n".join(map(str, told)).encode())


def _sibling_matrix(source: Source, kind: FileFormat) -> Source | None:
    if kind is not FileFormat.JSONL:
        return None
    stem = source.name.rpartition("/")[2]
    for suffix in COMPRESSIONS:
        stem = stem.removesuffix(suffix)
    return source.sibling(stem.rpartition(".")[0] + NPY)


def _most_common(dimensions: Sequence[int | None]) -> int | None:
    counted = Counter(each for each in dimensions if each)
    return max(counted, key=lambda each: counted[each], default=None)


def map_columns(names: Sequence[str], said: Sidecar, *, is_record: bool, name: str, every: bool) -> ColumnMapping:
    """Which of a file's columns is what. `every`: those that are metadata are listed. Raises Refused."""
    roles: dict[str, str | None] = {}
    for role, usual in _NAMES.items():
        column = said.columns.get(role)
        if column is not None and column not in names and every:
            raise ImportRejected(f"{name} has no column {column!r}, which the sidecar names for {role}")
        roles[role] = column or next((each for each in usual if each in names), None)
    record, others = None, None
    if isinstance(said.metadata, str):
        record = said.metadata
    elif said.metadata is not None:
        others = said.metadata
    elif is_record:
        record = _RECORD
    elif every:
        others = tuple(each for each in names if each not in roles.values())
    missing = [each for each in (record, *(others or ())) if each is not None and each not in names]
    if missing and every:
        raise ImportRejected(f"{name} has no column {missing[0]!r}, which the sidecar names for metadata")
    for each in others or ():
        fault = row_values.key_error(each)
        if fault is not None:
            raise ImportRejected(f"{name}: {fault}: name the columns that are metadata")
    return ColumnMapping(
        id=roles["id"],
        embedding=roles["embedding"],
        document=roles["document"],
        uri=roles["uri"],
        record=record,
        others=others,
    )


def _inspect_parquet(source: Source, footer: parquet.Footer, said: Sidecar, settings: Settings) -> _Inspection:
    names, kind = list(footer.types), footer.types.get(_RECORD, "")
    is_record = kind.startswith(("STRUCT", "MAP", "JSON"))
    if kind == "VARCHAR":
        texts = parquet.sample(source, footer, parquet_rows.quote_name(_RECORD), settings)
        is_record = all(text is None or text.startswith("{") for text in texts)
    columns = map_columns(names, said, is_record=is_record, name=source.name, every=True)
    parquet_rows.validate_types(footer.types, columns, source.name)
    if columns.embedding is None:
        return _Inspection(columns, [])
    chosen = parquet_rows.select_embedding(columns.embedding, footer.types[columns.embedding])
    dimensions = [row_values.embedding_dimension(each) for each in parquet.sample(source, footer, chosen, settings)]
    return _Inspection(columns, dimensions, is_empty=not footer.groups)


def _inspect_csv(source: Source, compression: Compression, said: Sidecar, settings: Settings) -> _Inspection:
    delimiter, header = csv.read_header(source, compression, said.delimiter, settings)
    sample = list(_records(csv.CsvReader(source, compression, delimiter, settings)))[1:]
    rows = [record for record in sample if len(record) == len(header)]
    types = {**csv.infer_types(header, sample), **said.types}
    is_record = types.get(_RECORD) == "json" and all(row[header.index(_RECORD)][:1] in ("", "{") for row in rows)
    columns = map_columns(header, said, is_record=is_record, name=source.name, every=True)
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


def _inspect_jsonl(source: Source, compression: Compression, said: Sidecar, settings: Settings) -> _Inspection:
    sample = []
    for line in islice(streams.lines(source, compression, 0, -1, settings), _SAMPLE_ROWS):
        try:
            sample.append(jsonl.parse_line(line.text or b"", first=line.start == 0))
        except RowError:
            continue
    names = list(dict.fromkeys(name for record in sample for name in record))
    is_record = any(type(record.get(_RECORD)) is dict for record in sample)
    if not sample and not said.columns:
        raise ImportRejected(f"{source.name}: none of its first lines is a JSON object")
    columns = map_columns(names, said, is_record=is_record, name=source.name, every=False)
    embedding = columns.embedding
    dimensions = [] if embedding is None else [row_values.embedding_dimension(record.get(embedding)) for record in sample]
    return _Inspection(columns, dimensions, is_empty=not sample)


def _line_ranges(source: Source, settings: Settings, *, skip_blank: bool) -> Iterator[FileRange]:
    """Ranges of about `import_range_bytes`, each of whole lines; `line` does not count blank ones with `skip_blank`."""
    start, line, at, counted = 0, 1, 0, 0
    open_line = b""  # as much of a line that is not at its end as tells whether it is blank
    for piece in streams.read_raw(source, 0, source.size, min(CHUNK_BYTES, settings.import_range_bytes)):
        offset = 0
        if skip_blank:
            found = (open_line + piece).split(b"\n")
            open_line = found.pop()[:2]
            counted += sum(each.strip() not in _BLANKS for each in found)
        else:
            counted += piece.count(b"\n")
        if at + len(piece) - start >= settings.import_range_bytes:
            offset = piece.rfind(b"\n") + 1
        if offset:
            yield FileRange(start, at + offset, line)
            start, line = at + offset, line + counted
            counted = 0
        at += len(piece)
    if at > start or not at:
        yield FileRange(start, at, line)


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
