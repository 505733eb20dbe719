"""Amazon S3 Vectors: the indexes of a vector bucket, by `ListVectors` with data and metadata.

| S3 Vectors | here |
|---|---|
| key | id |
| data | embedding |
| metadata | document and metadata, by the usual names |
| distance cosine, euclidean | space cosine, l2 |

The service lists vectors in an order of its own, which stays the same while nobody writes. A list cannot begin in the
middle: an import that continues reads the pages before again.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

from afterglow.bulk.databases.database_source import EMBEDDING, ID, DatabaseSource, Page
from afterglow.bulk.sidecar import Sidecar

_SPACES = {"cosine": "cosine", "euclidean": "l2"}


class VectorBucket(Protocol):
    """A vector bucket, in the words of the service."""

    @property
    def name(self) -> str:
        """Its name."""

    def indexes(self) -> list[str]:
        """The names of its indexes."""

    def describe(self, index: str) -> dict[str, Any]:
        """An index: `dimension`, `distanceMetric` and more. Raises NotFound."""

    def vectors(self, index: str) -> Iterator[list[dict[str, Any]]]:
        """Pages of its vectors: `key`, `data`, `metadata`."""


def open_collection(bucket: VectorBucket, name: str) -> DatabaseSource:
    """An index. Raises NotFound, Unavailable."""
    described = bucket.describe(name)
    options = Sidecar(
        columns={"id": ID, "embedding": EMBEDDING},
        space=_SPACES.get(described["distanceMetric"]),
        dimension=described["dimension"],
    )
    created = str(described.get("creationTime", ""))
    return DatabaseSource(f"s3-vectors://{bucket.name}", name, 0, partial(_pages, bucket, name), created, options)


def _pages(bucket: VectorBucket, name: str, start: int) -> Iterator[Page]:
    for page in bucket.vectors(name):
        rows = page[start:]
        start -= len(page) - len(rows)
        if rows:
            yield [_row(vector) for vector in rows]


def _row(vector: dict[str, Any]) -> dict[str, Any]:
    metadata = vector.get("metadata")
    values = metadata if isinstance(metadata, dict) else {}
    return {**values, ID: vector["key"], EMBEDDING: (vector.get("data") or {}).get("float32")}
