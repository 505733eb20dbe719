"""The request that creates a collection like another."""

from typing import Any

import numpy as np
import pytest

from afterglow.bulk.endpoint import CollectionInfo, create_request
from afterglow.collection.types import Records

SCHEMA: dict[str, Any] = {"defaults": {}, "keys": {}}
CONFIGURATION: dict[str, Any] = {"hnsw": {"space": "l2"}}


@pytest.mark.parametrize(
    ("schema", "metadata", "expected"),
    [
        (None, None, {"configuration": CONFIGURATION}),
        (SCHEMA, None, {"schema": SCHEMA}),
        (SCHEMA, {"hnsw:space": "l2"}, {"configuration": CONFIGURATION}),
    ],
)
def test_either_the_schema_or_the_configuration(
    schema: dict[str, Any] | None, metadata: dict[str, Any] | None, expected: dict[str, Any]
) -> None:
    info = CollectionInfo("1", "t", "d", "c", CONFIGURATION, schema, metadata)
    assert create_request(info) == expected
    assert str(info) == "t/d/c"


def test_some_of_the_records() -> None:
    records = Records(ids=["a", "b", "c"], embeddings=np.eye(3, dtype=np.float32), documents=["x", None, "z"])
    some = records.slice(1, 3)
    assert (some.ids, some.documents, some.metadatas) == (["b", "c"], [None, "z"], None)
    assert some.embeddings is not None
    assert some.embeddings.shape == (2, 3)
