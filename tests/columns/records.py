"""Random records: few keys and few values, so that they meet; with the numbers on which int and float differ."""

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.columns import (
    Column,
    ColumnSet,
    ColumnSetBuilder,
    ColumnType,
    StringColumn,
    StringColumnBuilder,
    to_buffers,
)
from afterglow.columns.gather import GatheredStrings, GatherPlan
from afterglow.columns.serde import DTYPES

KEYS = ("a", "b", "", "ключ", "#x")
EDGE_INTS = (0, 1, -1, 2, 2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63 - 513, -(2**63))
EDGE_FLOATS = (0.0, -0.0, 1.0, 1.5, -1.5, 2.0, 2.0**53, 2.0**53 + 2, 2.0**63, -(2.0**63), 1e300, -1e300, 5e-324)
STRINGS = ("", "1", "a", "ab", "b", "é", "\u0000", "𝔸", "true")

ints = st.sampled_from(EDGE_INTS) | st.integers(-(2**63), 2**63 - 1)
floats = st.sampled_from(EDGE_FLOATS) | st.floats(allow_nan=False, allow_infinity=False)
strings = st.sampled_from(STRINGS) | st.text(max_size=3)
scalars = st.booleans() | ints | floats | strings
lists = st.one_of(*(st.lists(items, min_size=1, max_size=3) for items in (st.booleans(), ints, floats, strings)))
DIMENSIONS = (0, 1, 2, 3, 2**16, 2**32 - 1)
components = st.sampled_from((0.0, 1.0, -1.0, 0.5)) | st.floats(-8, 8, width=32)
sparse_vectors = st.dictionaries(st.sampled_from(DIMENSIONS), components, max_size=4).map(
    lambda drawn: sparse_vector(sorted(drawn), [drawn[dimension] for dimension in sorted(drawn)])
)
metadatas = st.none() | st.dictionaries(st.sampled_from(KEYS), scalars | lists | sparse_vectors, max_size=4)
LETTERS = "ab é\n\u0000%"
documents = st.none() | st.text(LETTERS, max_size=8)
records = st.lists(st.tuples(metadatas, documents), max_size=12)


def sparse_vector(indices: list[int], values: list[float]) -> dict[str, Any]:
    """A sparse vector as metadata holds it."""
    return {"#type": "sparse_vector", "indices": indices, "values": values}


def columns_of(metadatas: list[dict[str, Any] | None]) -> ColumnSet:
    """Columns of these rows, appended at once."""
    builder = ColumnSetBuilder()
    builder.append(metadatas)
    return builder.snapshot()


def strings_of(documents: list[str | None]) -> StringColumn:
    """A string column of these rows, appended one by one."""
    builder = StringColumnBuilder()
    for document in documents:
        builder.append([None if document is None else document.encode()])
    return builder.snapshot()


def entries_of(column: Column, rows: int) -> dict[int, Any]:
    """The values of a column by row, as Python values."""
    values = column.values.tolist()
    if column.dictionary is not None:
        values = [column.dictionary.value(code) for code in values]
    if column.offsets is not None:
        bounds = column.offsets.tolist()
        values = [values[start:stop] for start, stop in pairwise(bounds)]
        if column.indices is not None:
            indices = [column.indices[start:stop].tolist() for start, stop in pairwise(bounds)]
            values = list(map(sparse_vector, indices, values))
    places = range(rows) if column.row_ids is None else column.row_ids.tolist()
    assert len(places) == len(values) == column.count
    assert list(places) == sorted(set(places))
    return dict(zip(places, values, strict=True))


def metadatas_of(columns: ColumnSet) -> list[dict[str, Any]]:
    """Every row of columns as a mapping: what was appended, without empty rows and values."""
    result: list[dict[str, Any]] = [{} for _ in range(columns.rows)]
    for key, columns_of_key in columns.columns.items():
        assert len({column.type for column in columns_of_key}) == len(columns_of_key)
        for column in columns_of_key:
            assert column.type.dtype == column.values.dtype
            assert (column.dictionary is None) == (column.type.item_type is not ColumnType.STR)
            for row, value in entries_of(column, columns.rows).items():
                assert key not in result[row]
                result[row][key] = value
    return result


def without_empty_values(metadatas: list[dict[str, Any] | None]) -> list[dict[str, Any]]:
    """The same, computed from what was appended."""
    return [
        {key: value for key, value in (metadata or {}).items() if value is not None and value != []}
        for metadata in metadatas
    ]


def canonical(metadatas: list[dict[str, Any]]) -> list[str]:
    """A form in which 1, 1.0 and True differ."""
    return [repr(sorted(metadata.items())) for metadata in metadatas]


def to_arrays(columns: ColumnSet) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """The header and the arrays that a segment holds of these columns."""
    header, pools = to_buffers(columns)
    return header, [np.concatenate([np.empty(0, dtype), *pool]) for pool, dtype in zip(pools, DTYPES, strict=True)]


def string_arrays(
    subsets: list[tuple[StringColumn, NDArray[np.int64]]], max_bytes: int = 7
) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """The header and the arrays that a segment holds of these rows of strings, read in chunks of `most` bytes."""
    rows = [rows_of_subset for _, rows_of_subset in subsets]
    gathered = GatheredStrings([strings for strings, _ in subsets], GatherPlan.of(rows, np.arange(sum(map(len, rows)))))
    data = np.concatenate([np.empty(0, dtype=np.uint8), *gathered.chunks(max_bytes)])
    presence = [] if gathered.validity is None else [gathered.validity.view(np.uint8)]
    return gathered.header(), [data, gathered.offsets, *presence]


def gather_strings(*subsets: tuple[StringColumn, NDArray[np.int64]]) -> StringColumn:
    """The rows of each subset, one subset after the other."""
    return StringColumn.from_arrays(*string_arrays(list(subsets)))
