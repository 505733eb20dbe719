"""The batch: one write of a client, or one operation of a transaction, as the log stores it.

On disk a batch is a frame, checksummed, all integers little-endian::

    "AGB1" · u32 length of the header · u64 xxh3-64 of all that follows · header (JSON) · vectors (f32, row-major)

The header holds `op`, `ids`, `documents`, `metadatas`, `uris`, `rows` and `dimension` of the vectors, and
`vector_rows`: the records that the vectors belong to, or null where every record has one.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import orjson
import xxhash
from numpy.typing import NDArray

from afterglow.errors import Corrupt
from afterglow.storage import magic as magic_number

MAGIC = b"AGB1"
_PREFIX = struct.Struct("<4sIQ")


class Op(StrEnum):
    """The operation of a batch."""

    ADD = "add"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Batch:
    """A validated write. All lists have the length of `ids`, or are None where the client sent none.

    `vectors` is float32 of shape (m, dimension). `vector_rows` (int64, ascending, length m) are the records that the
    vectors belong to; None means record i has vector i. Metadata values are bool, int, float, str, lists of one of
    them, or sparse vectors in the form of the API; None as a value (update and upsert only) deletes the key.
    """

    op: Op
    ids: list[str]
    vectors: NDArray[np.float32] | None = None
    vector_rows: NDArray[np.int64] | None = None
    documents: Sequence[str | None] | None = None
    metadatas: Sequence[Mapping[str, Any] | None] | None = None
    uris: Sequence[str | None] | None = None

    @property
    def dimension(self) -> int | None:
        """Components of each vector; None if the batch has no vectors."""
        return None if self.vectors is None or not len(self.vectors) else int(self.vectors.shape[1])


def encode(batch: Batch) -> bytes:
    """Encode a batch as a frame."""
    vectors = batch.vectors if batch.dimension is not None else None
    header = orjson.dumps(
        {
            "op": batch.op,
            "ids": batch.ids,
            "documents": batch.documents,
            "metadatas": batch.metadatas,
            "uris": batch.uris,
            "rows": 0 if vectors is None else len(vectors),
            "dimension": batch.dimension,
            "vector_rows": None if batch.vector_rows is None else batch.vector_rows.tolist(),
        }
    )
    matrix = b"" if vectors is None else np.ascontiguousarray(vectors, dtype="<f4").data
    digest = xxhash.xxh3_64(header)
    digest.update(matrix)
    return b"".join((_PREFIX.pack(MAGIC, len(header), digest.intdigest()), header, matrix))


def decode(frame: bytes | memoryview, name: str) -> Batch:
    """Decode a frame. Raises Corrupt, which refers to the frame as `name`."""
    view = memoryview(frame)
    if len(view) < _PREFIX.size:
        raise Corrupt(f"{name} is truncated: {len(view)} bytes")
    magic, length, checksum = _PREFIX.unpack_from(view)
    magic_number.require(magic, MAGIC, name, "a log batch")
    if xxhash.xxh3_64_intdigest(view[_PREFIX.size :]) != checksum:
        raise Corrupt(f"{name} does not match its checksum")
    # The checksum does not cover the length, so a wrong length is detected here.
    try:
        header = orjson.loads(view[_PREFIX.size : _PREFIX.size + length])
    except ValueError as error:
        raise Corrupt(f"{name} cannot be read: {error}") from error
    matrix, shape = view[_PREFIX.size + length :], (header["rows"], header["dimension"] or 0)
    if _PREFIX.size + length > len(view) or len(matrix) != 4 * shape[0] * shape[1]:
        raise Corrupt(f"{name} has another size than its header specifies")
    vectors = np.frombuffer(matrix, dtype="<f4").reshape(shape) if header["rows"] else None
    rows = header["vector_rows"]
    return Batch(
        op=Op(header["op"]),
        ids=header["ids"],
        vectors=vectors,
        vector_rows=None if rows is None else np.array(rows, dtype=np.int64),
        documents=header["documents"],
        metadatas=header["metadatas"],
        uris=header["uris"],
    )
