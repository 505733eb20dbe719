"""Changes as lines of JSON.

::

    {"position": 17, "offset": 0, "total": 2, "time": 1790000000000, "operation": "upsert",
     "records": {"ids": ["a", "b"], "embeddings": [[1.0, 2.0], [3.0, 4.0]], "documents": ["x", null]}, "next": "17"}

`records` is the body of a request with this operation: it has the fields that the write had. A write that is larger
than `LINE_BYTES` is several lines, and so is a transaction, with one or more for each of its operations: `offset`
counts the records before the line, `total` all of them. `time` is the time
of the log, in Unix milliseconds; `ttl_key`, if there is one, the metadata key that held the expiry of records then.
`next` is the position behind the line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from afterglow.collection.changes.position import ChangePosition
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry

LINE_BYTES = 1024 * 1024
"""Size at which a write is cut; a line is larger only where a single record is."""
_BYTES_PER_COMPONENT = 12
"""Of a vector in JSON, about."""


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """A line without its end, its number of records, and the position behind it."""

    content: bytes
    records: int
    next: ChangePosition


def encode(entry: Entry, batches: Sequence[Batch], start: int = 0) -> Iterator[ChangeLine]:
    """The lines of an entry, from record `start` on; the records of its batches are counted through."""
    total = sum(len(batch.ids) for batch in batches)
    rows = max(1, LINE_BYTES * total // max(_estimated_bytes(entry, batches), 1))
    first = 0
    for batch in batches:
        end = first + len(batch.ids)
        start = max(start, first)
        while start < end:
            stop = min(start + rows, end)
            position = ChangePosition(entry.seq, 0 if stop == total else stop)
            head = {"position": entry.seq, "offset": start, "total": total, "time": entry.appended_at}
            content = _line(entry, batch, range(start - first, stop - first), head, position)
            if len(content) > 2 * LINE_BYTES and stop - start > 1:
                rows = (stop - start) // 2
                continue
            yield ChangeLine(content, stop - start, position)
            start = stop
        first = end


def _estimated_bytes(entry: Entry, batches: Sequence[Batch]) -> int:
    components = sum(0 if batch.vectors is None else batch.vectors.size for batch in batches)
    return entry.byte_size + (_BYTES_PER_COMPONENT - 4) * components


def _line(entry: Entry, batch: Batch, rows: range, head: dict[str, Any], position: ChangePosition) -> bytes:
    """The line of some records of a batch."""
    start, stop = rows.start, rows.stop
    columns = {"documents": batch.documents, "metadatas": batch.metadatas, "uris": batch.uris}
    records: dict[str, Any] = {"ids": batch.ids[start:stop]}
    if batch.vectors is not None:
        records["embeddings"] = _embeddings(batch, start, stop)
    records |= {name: values[start:stop] for name, values in columns.items() if values is not None}
    line: dict[str, Any] = {
        **head,
        "operation": batch.op,
        **({} if entry.ttl_key is None else {"ttl_key": entry.ttl_key}),
        "records": records,
        "next": str(position),
    }
    return orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY)


def _embeddings(batch: Batch, start: int, stop: int) -> Any:
    assert batch.vectors is not None
    if batch.vector_rows is None:
        return np.ascontiguousarray(batch.vectors[start:stop])
    embeddings: list[Any] = [None] * (stop - start)
    first, last = np.searchsorted(batch.vector_rows, [start, stop]).tolist()
    for row, vector in zip(batch.vector_rows[first:last].tolist(), batch.vectors[first:last], strict=True):
        embeddings[row - start] = np.ascontiguousarray(vector)
    return embeddings
