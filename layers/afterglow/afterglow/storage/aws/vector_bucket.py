"""A bucket of Amazon S3 Vectors, read only: `afterglow import --from-s3-vectors`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.error_mapping import map_errors


@dataclass(frozen=True, slots=True)
class S3VectorBucket:
    """The vector bucket `name`. Methods raise Unavailable, and what the service refuses."""

    clients: Clients
    name: str

    def indexes(self) -> list[str]:
        """The names of its indexes."""
        found = []
        with map_errors(f"vector bucket {self.name}"):
            for page in self.clients.s3_vectors.get_paginator("list_indexes").paginate(vectorBucketName=self.name):
                found += [index["indexName"] for index in page["indexes"]]
        return found

    def describe(self, index: str) -> dict[str, Any]:
        """An index: `dimension`, `distanceMetric`, `creationTime`."""
        with map_errors(f"index {index} of vector bucket {self.name}"):
            found: dict[str, Any] = self.clients.s3_vectors.get_index(vectorBucketName=self.name, indexName=index)
            return dict(found["index"])

    def vectors(self, index: str) -> Iterator[list[dict[str, Any]]]:
        """Pages of its vectors with `key`, `data` and `metadata`."""
        pages = self.clients.s3_vectors.get_paginator("list_vectors").paginate(
            vectorBucketName=self.name, indexName=index, returnData=True, returnMetadata=True
        )
        with map_errors(f"index {index} of vector bucket {self.name}"):
            for page in pages:
                yield page["vectors"]
