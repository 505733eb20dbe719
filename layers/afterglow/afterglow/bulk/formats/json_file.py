"""JSON files, read into memory up to an eighth of `import_memory_bytes`: larger ones should be JSON Lines.

Read are an array of objects, also as the only array in an object (`{"vectors": [...]}`, `{"points": [...]}`); Chroma's
result of a `get`, an object of lists (`{"ids": [...], "embeddings": [...], ...}`); what pandas writes by columns
(`{"id": {"0": ...}, ...}`), by rows (`{"0": {"id": ...}, ...}`, a row without an id has its key) and as `split`; a
single record; an array of vectors; and several texts behind each other, such as JSON Lines under another name. A file
is one range of rows.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson

from afterglow.bulk.formats import column_mapping, streams
from afterglow.bulk.formats.column_mapping import SAMPLE_ROWS
from afterglow.bulk.formats.format import Inspection
from afterglow.bulk.formats.jsonl import is_list_of_numbers, map_records
from afterglow.bulk.formats.row_mapper import RowMapper
from afterglow.bulk.row_chunks import RowChunk, RowChunkBuilder
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sources import Source
from afterglow.bulk.types import ColumnMapping, Compression, FileRange, ImportRejected, Plan
from afterglow.settings import Settings

_SPLIT = {"columns", "index", "data"}
_BETWEEN = re.compile(r"[\s,]*")
_MEMORY_SHARE = 8
"""The parsed values of a JSON text take about this many times its size."""


def inspect(source: Source, compression: Compression, options: Sidecar, settings: Settings) -> Inspection:
    """Columns and dimension from the first rows."""
    encoding = streams.encoding_of(source, compression, settings, options.encoding)
    rows = _read(source, compression, settings, encoding)
    if not rows:
        return Inspection(ColumnMapping(), options.dimension or 1, (FileRange(0, 0, 1),), encoding=encoding)
    sample = [row for row in islice(rows, SAMPLE_ROWS) if isinstance(row, dict)]
    if not sample:
        raise ImportRejected(f"{source.name}: none of its first values is an object")
    columns, dimension = map_records(sample, options, source.name)
    return Inspection(columns, dimension, (FileRange(0, len(rows), 1),), encoding=encoding)


def read_chunks(
    source: Source, plan: Plan, file_range: FileRange, *, position: int, lines_read: int, settings: Settings
) -> Iterator[RowChunk]:
    """The rows from `position` on."""
    del lines_read
    rows, mapper = _read(source, plan.compression, settings, plan.encoding), RowMapper(plan.columns)
    while position < file_range.end:
        end = min(position + plan.batch_rows, file_range.end)
        builder = RowChunkBuilder(plan.dimension)
        for number in range(position, end):
            mapper.add(builder, rows[number], number, plan)
        yield builder.build(end, end - file_range.start)
        position = end


def _read(source: Source, compression: Compression, settings: Settings, encoding: str) -> Sequence[Any]:
    limit, chunks, size = settings.import_memory_bytes // _MEMORY_SHARE, [], 0
    for chunk in streams.read_text(source, compression, settings):
        size += len(chunk)
        if size > limit:
            raise ImportRejected(
                f"{source.name} has more than {limit} bytes of JSON: write JSON Lines (.jsonl) instead"
            )
        chunks.append(chunk)
    text = b"".join(chunks)
    try:
        if encoding:
            text = text.decode(encoding).encode()
        text = text.removeprefix(b"\xef\xbb\xbf")
        value = orjson.loads(text)
    except UnicodeError as error:
        raise ImportRejected(f"{source.name} is not {encoding}: {error}") from None
    except orjson.JSONDecodeError as error:
        texts = _texts(text)
        if not texts:
            raise ImportRejected(f"{source.name} is not JSON: {error}") from None
        if len(texts) > 1:
            return texts
        value = texts[0]
    return _rows(value, source.name)


def _texts(text: bytes) -> list[Any]:
    """The values of JSON texts behind each other, with or without commas, also with NaN; none if any is damaged."""
    values: list[Any] = []
    try:
        decoded, position, decoder = text.decode(), 0, json.JSONDecoder()
        while (position := _BETWEEN.match(decoded, position).end()) < len(decoded):  # type: ignore[union-attr]
            value, position = decoder.raw_decode(decoded, position)
            values.append(value)
        orjson.dumps(values)  # rejects lone surrogates, which `json` reads
    except (ValueError, TypeError, RecursionError):
        return []
    return values


def _rows(value: Any, name: str) -> Sequence[Any]:
    if isinstance(value, list):
        vectors = value and all(map(is_list_of_numbers, value))
        return [{"embedding": vector} for vector in value] if vectors else value
    if not isinstance(value, dict):
        raise ImportRejected(f"{name} holds neither an array of objects nor an object of columns")
    embedding = column_mapping.embedding_of(list(value))
    if embedding is not None and is_list_of_numbers(value[embedding]):
        return [value]
    lists = {key: member for key, member in value.items() if isinstance(member, list)}
    if value.keys() == _SPLIT and value.keys() == lists.keys():
        return [dict(zip(lists["columns"], row, strict=False)) for row in lists["data"] if isinstance(row, list)]
    if "ids" in lists:
        return _from_columns(lists, lists["ids"], name)
    if len(lists) == 1:
        (rows,) = lists.values()
        return rows
    if lists and all(lists.values()) and len({len(member) for member in lists.values()}) == 1:
        return _from_columns(lists, next(iter(lists.values())), name)
    objects = {key: member for key, member in value.items() if isinstance(member, dict)}
    if len(objects) == len(value) > 0:
        if embedding is None and any(column_mapping.embedding_of(list(row)) for row in objects.values()):
            return [{"id": key, **row} for key, row in objects.items()]
        rows = list(dict.fromkeys(row for member in objects.values() for row in member))
        return [{key: member[row] for key, member in objects.items() if row in member} for row in rows]
    raise ImportRejected(f"{name} holds neither an array of objects nor an object of columns")


def _from_columns(columns: Mapping[str, list[Any]], first: list[Any], name: str) -> list[dict[str, Any]]:
    """Rows from lists of equal length; others, such as `include`, are left out."""
    if first and isinstance(first[0], list) and len(first) == 1:
        raise ImportRejected(f"{name} is the result of a query, whose embeddings are not complete: use that of a get")
    same = {key: member for key, member in columns.items() if len(member) == len(first) and key != "include"}
    return [dict(zip(same, row, strict=True)) for row in zip(*same.values(), strict=True)]
