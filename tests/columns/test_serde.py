"""The stored form: eight arrays and a header, without copies."""

import numpy as np
import orjson

from afterglow.columns import from_buffers, take, to_buffers
from afterglow.columns.serde import CODES, DTYPES, STRING_DATA
from tests.columns.records import columns_of, metadatas_of, sparse_vector, to_arrays

ROWS = [{"n": 1, "s": "x", "ls": ["y", "x"]}, None, {"n": 2, "v": sparse_vector([1, 7], [0.5, -1.0])}]


def test_the_header_describes_every_column() -> None:
    header, arrays = to_arrays(columns_of(ROWS))
    assert header["rows"] == 3
    assert [fields[:3] for fields in header["columns"]] == [
        ["n", "int", 2],
        ["s", "str", 1],
        ["ls", "str_list", 1],
        ["v", "sparse", 1],
    ]
    assert [array.dtype for array in arrays] == list(DTYPES)
    assert arrays[STRING_DATA].tobytes() == b"xxy"
    assert arrays[CODES].tolist() == [0, 1, 0, 1, 7, *np.array([0.5, -1.0], np.float32).view(np.uint32).tolist()]
    assert orjson.loads(orjson.dumps(header)) == header


def test_immutable_columns_are_not_copied() -> None:
    columns = take(columns_of(ROWS), np.arange(3))
    _, buffers = to_buffers(columns)
    stored = [array for buffer in buffers for array in buffer]
    assert all(
        any(np.shares_memory(column.values, array) for array in stored)
        for of_key in columns.columns.values()
        for column in of_key
    )


def test_columns_are_read_as_views() -> None:
    header, arrays = to_arrays(columns_of(ROWS))
    columns = from_buffers(header, arrays)
    assert metadatas_of(columns) == [row or {} for row in ROWS]
    for of_key in columns.columns.values():
        assert all(any(np.shares_memory(column.values, array) for array in arrays) for column in of_key)
