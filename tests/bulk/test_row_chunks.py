"""Rows as batches."""

import numpy as np

from afterglow.bulk.row_chunks import Row, RowChunkBuilder, row_id
from afterglow.bulk.types import Rejected


def _vector(*components: float) -> bytes:
    return np.array(components, dtype="<f4").tobytes()


def test_a_chunk_without_its_infinite_rows() -> None:
    builder = RowChunkBuilder(2)
    builder.add(1, "a", _vector(1, 2), Row("text", None, None))
    builder.reject(4, "no JSON")
    builder.add(2, "b", _vector(1, float("inf")), Row(None, None, {"k": 1}))
    builder.add(3, "c", _vector(3e38, 3e38), Row(None, None, None))
    chunk = builder.build(99, 4)
    assert chunk.rejected == [Rejected(2, "the embedding holds NaN or infinity"), Rejected(4, "no JSON")]
    assert (chunk.end, chunk.lines) == (99, 4)
    assert chunk.batch is not None
    assert chunk.batch.ids == ["a", "c"]
    assert chunk.batch.documents == ["text", None]
    assert (chunk.batch.metadatas, chunk.batch.uris) == (None, None)


def test_a_chunk_without_rows_has_no_batch() -> None:
    builder = RowChunkBuilder(2)
    builder.reject(1, "no JSON")
    assert builder.build(5, 1).batch is None


def test_generated_ids_are_stable() -> None:
    assert row_id("a.jsonl", 17) == row_id("a.jsonl", 17) == "a.jsonl#17"
