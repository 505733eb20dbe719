"""Small collections with everything that a record may hold, and what a side says of one."""

import math
from typing import Any

import numpy as np
import orjson
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from afterglow.bulk.endpoint import RecordStream
from afterglow.collection.types import Records
from tests.columns.records import lists, scalars, sparse_vectors

any_metadatas = st.dictionaries(
    st.sampled_from(["a", "b", "ключ", " ", "x:y"]), scalars | lists | sparse_vectors, max_size=4
)
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
components = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def collections(draw: DrawFn, most: int = 12) -> Records:
    """Records of a collection; perhaps none."""
    ids = draw(
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), max_size=most, unique=True)
    )
    count, dimension = len(ids), draw(st.integers(1, 4))
    vectors = draw(
        st.lists(st.lists(components, min_size=dimension, max_size=dimension), min_size=count, max_size=count)
    )
    metadatas = draw(st.lists(any_metadatas, min_size=count, max_size=count))
    return Records(
        ids=ids,
        embeddings=np.array(vectors, dtype=np.float32).reshape(count, dimension),
        documents=draw(st.lists(texts, min_size=count, max_size=count)),
        metadatas=[None if not metadata else orjson.dumps(metadata) for metadata in metadatas],
        uris=draw(st.lists(texts, min_size=count, max_size=count)),
    )


def plain(records: Records) -> list[tuple[Any, ...]]:
    """The records as plain values that are equal only where nothing was lost: bytes of floats, types of numbers."""
    assert records.embeddings is not None
    nothing = [None] * len(records.ids)
    return [
        (name, np.asarray(vector, dtype="<f4").tobytes(), document, uri, comparable(metadata))
        for name, vector, document, uri, metadata in zip(
            records.ids,
            records.embeddings,
            records.documents or nothing,
            records.uris or nothing,
            records.metadatas or nothing,
            strict=True,
        )
    ]


def held_by(name: str, records: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """What a file of this name holds of records: CSV has no empty texts."""
    if not name.endswith(".csv"):
        return records
    return [
        (name, vector, document or None, uri or None, metadata) for name, vector, document, uri, metadata in records
    ]


def comparable(metadata: bytes | dict[str, Any] | None) -> Any:
    """Metadata with the type of every number beside it."""
    value = orjson.loads(metadata) if isinstance(metadata, bytes) else metadata
    return _comparable(value)


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _comparable(item)) for key, item in value.items())
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    sign = math.copysign(1, value) if isinstance(value, float) else 0
    return type(value).__name__, value, sign


def everything(contents: RecordStream) -> list[tuple[Any, ...]]:
    """All pages as plain values."""
    return [item for page in contents.pages for item in plain(page)]
