"""Very large bodies: lists that are parsed piece by piece are those of a whole parse, and every error is the same."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.api import models
from afterglow.api.validation import json_body, number_rows, record_lists
from afterglow.errors import AfterglowError

ROWS = 60
IDS = list(map(str, range(ROWS)))
TEXTS = ['a "quoted\\" text', "\\", "", "[{", "},{", "]", '"ids": [', "слово\n", "\\\\", 'x\\"']


def body(**fields: Any) -> bytes:
    return orjson.dumps({"ids": IDS, **fields})


def outcome(text: bytes) -> Any:
    try:
        return json_body.parse(models.UpsertRecords, text).model_dump()
    except AfterglowError as error:
        return type(error), error.message


def both_ways(text: bytes, piece: int = 50) -> tuple[Any, Any]:
    whole = outcome(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_lists, "LARGE_BYTES", 0)
        patch.setattr(number_rows, "LARGE_BYTES", 0)
        patch.setattr(record_lists, "_PIECE_BYTES", piece)
        return whole, outcome(text)


ORDINARY = [
    body(),
    body(documents=[TEXTS[row % len(TEXTS)] for row in range(ROWS)], uris=[None] * ROWS),
    body(metadatas=[{"a": row, "b": [1, 2], "t": TEXTS[row % len(TEXTS)]} for row in range(ROWS)]),
    body(metadatas=[{"s": {"#type": "sparse_vector", "indices": [1], "values": [0.5]}}, None] * (ROWS // 2)),
    body(metadatas=[{"ids": "x", "documents": [1]}] * ROWS, documents=[]),
    orjson.dumps(
        {"documents": ["a"] * ROWS, "ids": IDS, "embeddings": [[1.5] * 70] * ROWS}, option=orjson.OPT_INDENT_2
    ),
    b'{"ids":["a","b"],"metadatas":[{"a":1,"a":2},null]}',
]


@pytest.mark.parametrize("text", ORDINARY)
def test_lists_are_parsed_piece_by_piece(text: bytes) -> None:
    assert record_lists.cut(text) is not None
    whole, piecewise = both_ways(text)
    assert type(whole) is dict
    if isinstance(piecewise["embeddings"], dict):
        piecewise["embeddings"] = piecewise["embeddings"]["vectors"].tolist()
    assert piecewise == whole


@pytest.mark.parametrize(
    "text",
    [
        body()[:-1],
        body() + b"]",
        body()[:-1] + b',"ids":[]}',
        body()[:-1] + b',"uris":null,"uris":null}',
        body(ids=[*IDS, 5]),
        body(documents="x"),
        body(documents=[record_lists.PLACEHOLDER] * ROWS),
        body(metadatas=[{"a": {"b": {"c": {"d": {"e": 1}}}}}] * ROWS),
        body(where={"ids": [1]}),
        b'{"ids":["a",],"documents":["b"]}',
        b'{"ids":[,"a"]}',
        b'{"ids":["a" "b"]}',
        b'{"ids":["a"}',
        b'{"ids":["a',
        b'{"ids":["a\\"]}',
        b'{"ids":[{]}]}',
        b'{"ids":["a"],"documents":["\xff"]}',
        b'{"ids":["a"],"documents":["\\ud800"]}',
        b'{"ids":["a"],"metadatas":[{"a":01}]}',
        b'[{"ids":["a"]}]',
        b'"ids":["a"]',
    ],
)
def test_everything_else_is_what_it_was(text: bytes) -> None:
    whole, piecewise = both_ways(text)
    assert piecewise == whole


VALUES = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=8), st.sampled_from(TEXTS))
ITEMS = st.one_of(
    VALUES, st.dictionaries(st.text(max_size=4), st.one_of(VALUES, st.lists(VALUES, max_size=3)), max_size=3)
)


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*record_lists.FIELDS, "embeddings", "other"]), st.lists(ITEMS, max_size=6)),
    st.integers(1, 40),
    st.data(),
)
def test_any_body(fields: dict[str, Any], piece: int, data: st.DataObject) -> None:
    text = orjson.dumps(fields)
    whole, piecewise = both_ways(text, piece)
    assert piecewise == whole
    position = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:position] + data.draw(st.sampled_from([b"", b'"', b"\\", b"]", b","])) + text[position + 1 :]
    whole, piecewise = both_ways(damaged, piece)
    assert piecewise == whole


def test_few_large_items_and_very_many_are_parsed_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_lists, "_MAX_ITEMS", ROWS - 1)
    assert record_lists.cut(body()) is None
    monkeypatch.setattr(record_lists, "_MAX_ITEM_BYTES", 20)
    assert record_lists.cut(b'{"metadatas":[{"a":"0123456789"}]}') is not None
    assert record_lists.cut(b'{"metadatas":[{"a":"01234567890123456789"}]}') is None
    assert record_lists.cut(b'{"documents":["01234567890123456789"]}') is not None
