"""Random batches for a small collection: few ids, so that they meet; vectors of eighths, so that sums are exact."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from afterglow.log.batch import Batch, Op

DIMENSION = 3
IDS = [f"id{number}" for number in range(12)] + ["", "ключ", "i\x00d"]
WORDS = ["red", "blue", "", "a b", "zażółć", "line\nbreak"]

ids = st.sampled_from(IDS)
coordinates = st.integers(-16, 16).map(lambda item: item / 8)
vectors = st.lists(coordinates, min_size=DIMENSION, max_size=DIMENSION)
documents = st.sampled_from(WORDS)
sparse_queries = st.dictionaries(st.sampled_from([0, 1, 2, 2**32 - 1]), coordinates, max_size=4)
sparse_vectors = sparse_queries.map(
    lambda drawn: {
        "#type": "sparse_vector",
        "indices": sorted(drawn),
        "values": [drawn[item] for item in sorted(drawn)],
    }
)
values = st.one_of(
    st.integers(-2, 2),
    st.booleans(),
    st.sampled_from([0.5, 1.0, -2.25]),
    st.sampled_from(["x", "y", ""]),
    st.lists(st.integers(0, 2), min_size=1, max_size=3),
    st.lists(st.sampled_from("xy"), min_size=1, max_size=2),
    sparse_vectors,
)
KEYS = ("a", "b", "c")
metadatas = st.dictionaries(st.sampled_from(KEYS), values, min_size=1, max_size=3)
changes = st.dictionaries(st.sampled_from(KEYS), st.none() | values, min_size=1, max_size=3)


def _optional_list(count: int, item: SearchStrategy[Any]) -> SearchStrategy[list[Any] | None]:
    return st.none() | st.lists(st.none() | item, min_size=count, max_size=count)


@st.composite
def batches(draw: DrawFn, ops: tuple[Op, ...] = tuple(Op), max_ids: int = 6) -> Batch:
    """A write as validation lets it pass; ids may repeat within it."""
    op = draw(st.sampled_from(ops))
    names = draw(st.lists(ids, min_size=1, max_size=max_ids))
    if op is Op.DELETE:
        return Batch(op, names)
    count = len(names)
    everything = list(range(count))
    members = everything
    if op is Op.UPDATE:
        members = sorted(draw(st.sets(st.sampled_from(everything), max_size=count)))
    brought = np.array([draw(vectors) for _ in members], dtype=np.float32).reshape(len(members), DIMENSION)
    return Batch(
        op,
        names,
        vectors=brought if members else None,
        vector_rows=None if members == everything or not members else np.array(members, dtype=np.int64),
        documents=draw(_optional_list(count, documents)),
        metadatas=draw(_optional_list(count, metadatas if op is Op.ADD else changes)),
        uris=draw(_optional_list(count, st.sampled_from(["u:1", "u:2"]))),
    )


def to_plain(batch: Batch) -> dict[str, Any]:
    """A batch as plain values, to be compared."""
    return {
        "op": batch.op,
        "ids": batch.ids,
        "vectors": None if batch.vectors is None else batch.vectors.tolist(),
        "vector_rows": None if batch.vector_rows is None else batch.vector_rows.tolist(),
        "documents": None if batch.documents is None else list(batch.documents),
        "metadatas": None if batch.metadatas is None else list(batch.metadatas),
        "uris": None if batch.uris is None else list(batch.uris),
    }
