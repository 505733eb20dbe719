"""The arrays of a new segment's files `rows` and `strings`, of rows that are gathered from others."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns import serde
from afterglow.columns.column import ColumnSet
from afterglow.columns.gather import GatheredStrings
from afterglow.segment import id_index
from afterglow.segment.array_file import ArrayStream
from afterglow.segment.row_group import RowSubset
from afterglow.storage import file_map

Arrays = Mapping[str, NDArray[Any] | ArrayStream]


def row_arrays(
    subsets: Sequence[RowSubset],
    chunk_bytes: int,
    ids: GatheredStrings,
    columns: ColumnSet,
    **numbers: NDArray[Any],
) -> tuple[dict[str, Any], Arrays]:
    """Meta and arrays of the file `rows`: ids with their hashes, `numbers` of the rows, metadata columns."""
    hashes, hash_rows = id_index.build_from_utf8(ids.iter_rows(chunk_bytes), len(ids.offsets) - 1)
    columns_meta, buffers = serde.to_buffers(columns)
    ids_meta, arrays = string_arrays(subsets, chunk_bytes, ids=ids)
    stored = {
        f"column{number}": ArrayStream(dtype.str, (sum(map(len, buffer)),), buffer)
        for number, (buffer, dtype) in enumerate(zip(buffers, serde.DTYPES, strict=True))
    }
    all_arrays = {**arrays, **numbers, "hashes": hashes, "hash_rows": hash_rows, **stored}
    return {**ids_meta, "columns": columns_meta}, all_arrays


def string_arrays(
    subsets: Sequence[RowSubset], chunk_bytes: int, **columns: GatheredStrings
) -> tuple[dict[str, Any], Arrays]:
    """Meta and arrays of string columns."""
    meta: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any] | ArrayStream] = {}
    for name, strings in columns.items():
        chunks = release_after_chunks(strings.chunks(chunk_bytes), subsets)
        meta[name] = strings.header()
        arrays[f"{name}0"] = ArrayStream("|u1", (int(strings.offsets[-1]),), chunks)
        arrays[f"{name}1"] = strings.offsets
        if strings.validity is not None:
            arrays[f"{name}2"] = strings.validity.view(np.uint8)
    return meta, arrays


def release_after_chunks(
    chunks: Iterator[NDArray[np.uint8]], subsets: Sequence[RowSubset]
) -> Iterator[NDArray[np.uint8]]:
    """The chunks; after each of them the pages that were read for it are released."""
    for chunk in chunks:
        yield chunk
        for subset in subsets:
            file_map.release_pages(subset.row_group.documents.data)
            file_map.release_pages(subset.row_group.ids.data)
