"""Large bodies: vectors that are parsed one at a time are those of a whole parse, and every error is the same."""

from typing import Any

import numpy as np
import orjson
import pytest

from afterglow.api import models
from afterglow.api.v2 import record_requests
from afterglow.api.validation import embeddings, json_body, number_rows
from afterglow.api.validation.number_rows import NumberRows
from afterglow.collection import Op
from afterglow.errors import AfterglowError

ROWS, DIMENSION = 40, 70
VECTORS = np.random.default_rng(3).normal(size=(ROWS, DIMENSION)).astype(np.float32).astype(np.float64)
IDS = list(map(str, range(ROWS)))
FIRST = f"[{','.join(['1'] * DIMENSION)}]"


@pytest.fixture
def cut_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every body counts as large."""
    monkeypatch.setattr(number_rows, "LARGE_BYTES", 0)


def body(**fields: Any) -> bytes:
    return orjson.dumps({"ids": IDS, "embeddings": VECTORS, **fields}, option=orjson.OPT_SERIALIZE_NUMPY)


def outcome(text: bytes) -> Any:
    """What an upsert of this body would write, or the error."""
    try:
        batch = record_requests.parse_write(Op.UPSERT, text).batch()
    except AfterglowError as error:
        return type(error), error.message
    vectors = None if batch.vectors is None else (batch.vectors.shape, batch.vectors.tobytes())
    rows = None if batch.vector_rows is None else batch.vector_rows.tolist()
    return batch.ids, vectors, rows, batch.documents, batch.metadatas


def both_ways(text: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    whole = outcome(text)
    monkeypatch.setattr(number_rows, "LARGE_BYTES", 0)
    return whole, outcome(text)


@pytest.mark.parametrize(
    "text",
    [
        body(),
        body(documents=['"embeddings": [[1]]'] * ROWS, metadatas=[{"embeddings": "x"}] * ROWS),
        orjson.dumps({"embeddings": VECTORS.tolist(), "ids": IDS}, option=orjson.OPT_INDENT_2),
        orjson.dumps({"ids": IDS, "embeddings": np.arange(ROWS * DIMENSION).reshape(ROWS, DIMENSION).tolist()}),
    ],
)
def test_vectors_are_parsed_one_at_a_time(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert number_rows.cut(text) is not None
    whole, piecewise = both_ways(text, monkeypatch)
    assert piecewise == whole
    assert whole[1][0] == (ROWS, DIMENSION)


@pytest.mark.parametrize(
    "text",
    [
        body(embeddings=[*VECTORS.tolist()[1:], None]),
        body(embeddings=[*VECTORS.tolist()[1:], [1.0]]),
        body(embeddings=[*VECTORS.tolist()[1:], [True] * DIMENSION]),
        body(embeddings=[*VECTORS.tolist()[1:], [1e39] * DIMENSION]),
        body(embeddings=[*VECTORS.tolist()[1:], ["1"] * DIMENSION]),
        body(embeddings=[VECTORS.tolist()]),
        body(embeddings=[[]]),
        body(metadatas=[{"a": number_rows.PLACEHOLDER}] * ROWS),
        body(metadatas=[{"embeddings": VECTORS.tolist()}] * ROWS, embeddings=None),
        body(ids=5),
        body()[:-1] + b',"embeddings":null}',
        body()[:-1] + b',"ids":[]}',
        body()[:-1],
        body() + b"]",
        b'{"ids":["a"],"embeddings":[' + FIRST.encode() + b",]}",
        b'{"ids":["a"],"embeddings":[' + FIRST.encode(),
        b'{"ids":["a"],"x\\"embeddings":[' + FIRST.encode() + b"]}",
        b'[{"ids":["a"],"embeddings":[' + FIRST.encode() + b"]}]",
        b'"embeddings":[' + FIRST.encode() + b"]",
    ],
)
def test_everything_else_is_what_it_was(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, piecewise = both_ways(text, monkeypatch)
    assert piecewise == whole


@pytest.mark.usefixtures("cut_small")
def test_queries_are_parsed_one_at_a_time() -> None:
    text = orjson.dumps({"query_embeddings": VECTORS.tolist()})
    value = json_body.parse(models.QueryRecords, text).query_embeddings
    assert isinstance(value, NumberRows)
    assert embeddings.parse_queries(value, ROWS).tolist() == VECTORS.tolist()
    with pytest.raises(AfterglowError, match=f"query_embeddings has {ROWS} items"):
        embeddings.parse_queries(value, ROWS - 1)


def test_a_small_body_is_parsed_as_a_whole() -> None:
    assert len(body()) < number_rows.LARGE_BYTES
    assert type(json_body.parse(models.UpsertRecords, body()).embeddings) is list
