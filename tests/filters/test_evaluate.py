"""Evaluation over columns, compared with the record-by-record reference."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.columns import ColumnSet, StringColumn, from_buffers, take
from afterglow.filters import evaluate, parse_where, parse_where_document
from tests.columns.records import EDGE_FLOATS, EDGE_INTS, columns_of, gather_strings, records, strings_of, to_arrays
from tests.filters.reference import COMPARE, holds, wheres

Record = tuple[dict[str, Any] | None, str | None]


def ask(where: dict[str, Any], columns: ColumnSet, texts: StringColumn, candidates: Any = None) -> list[bool]:
    tree = parse_where(where)
    assert tree is not None
    mask = evaluate(tree, columns, texts, candidates)
    assert mask.dtype == np.bool_
    assert mask.flags.writeable
    return list(mask.tolist())


@pytest.mark.slow
@settings(max_examples=400)
@given(records, wheres, st.randoms(use_true_random=False))
def test_evaluate_equals_the_record_by_record_reference(
    rows: list[Record], where: dict[str, Any], chance: random.Random
) -> None:
    columns = columns_of([metadata for metadata, _ in rows])
    texts = strings_of([document for _, document in rows])
    expected = [holds(where, metadata, document) for metadata, document in rows]
    assert ask(where, columns, texts) == expected

    header, arrays = to_arrays(columns)
    assert ask(where, from_buffers(header, arrays), texts) == expected

    order = chance.sample(range(len(rows)), chance.randint(0, len(rows)))
    order_array = np.array(order, dtype=np.int64)
    assert ask(where, take(columns, order_array), gather_strings((texts, order_array))) == [
        expected[row] for row in order
    ]

    flags = [chance.random() < 0.5 for _ in rows]
    candidates = np.array(flags, dtype=np.bool_)
    selected = ask(where, columns, texts, candidates)
    assert selected == [flag and holding for flag, holding in zip(flags, expected, strict=True)]
    assert candidates.tolist() == flags


@pytest.mark.parametrize("operator", ["$eq", "$ne", *COMPARE])
def test_ints_and_floats_compare_exactly(operator: str) -> None:
    """Every edge against every edge: no value is rounded to the other's type."""
    rows: list[dict[str, Any] | None] = [{"k": value} for value in (*EDGE_INTS, *EDGE_FLOATS)]
    columns, texts = columns_of(rows), strings_of([None] * len(rows))
    for operand in (*EDGE_INTS, *EDGE_FLOATS):
        where = {"k": {operator: operand}}
        assert ask(where, columns, texts) == [holds(where, row, None) for row in rows]


def test_complements_hold_for_records_without_the_key() -> None:
    rows: list[dict[str, Any] | None] = [{"k": 1}, {"k": "1"}, {"k": [1]}, {"other": 1}, None]
    columns, texts = columns_of(rows), strings_of(["a", "b", "", None, "ab"])
    assert ask({"k": {"$ne": 1}}, columns, texts) == [False, True, True, True, True]
    assert ask({"k": {"$nin": [1, 2]}}, columns, texts) == [False, True, True, True, True]
    assert ask({"k": {"$not_contains": 1}}, columns, texts) == [True, True, False, True, True]
    assert ask({"#document": {"$not_contains": "a"}}, columns, texts) == [False, True, True, True, False]
    assert ask({"#document": {"$not_regex": "a"}}, columns, texts) == [False, True, True, True, False]
    assert ask({"#document": {"$contains": ""}}, columns, texts) == [True, True, True, False, True]


def test_value_types_are_not_mixed() -> None:
    rows: list[dict[str, Any] | None] = [{"k": value} for value in (1, 1.0, True, "1", [1], [1.0], [True], ["1"])]
    columns, texts = columns_of(rows), strings_of([None] * 8)

    def holding(condition: Any) -> list[int]:
        return np.flatnonzero(ask({"k": condition}, columns, texts)).tolist()

    assert holding(1) == holding(1.0) == holding({"$in": [1]}) == holding({"$in": [1.0, 7]}) == [0, 1]
    assert holding(True) == holding({"$in": [True]}) == [2]
    assert holding("1") == holding({"$in": ["1"]}) == [3]
    assert holding({"$contains": 1}) == [4]
    assert holding({"$contains": 1.0}) == [5]
    assert holding({"$contains": True}) == [6]
    assert holding({"$contains": "1"}) == [7]
    assert holding({"$gte": 0}) == [0, 1]


def test_empty_and_is_all_and_empty_or_none() -> None:
    columns, texts = columns_of([None, {"a": 1}]), strings_of([None, "x"])
    assert ask({"$and": []}, columns, texts) == [True, True]
    assert ask({"$or": []}, columns, texts) == [False, False]


def test_list_members_are_found_in_few_rows_and_in_many() -> None:
    rows: list[dict[str, Any] | None] = [
        {"k": [row % 3, 7 if row == 5 else 8]} if row % 4 else None for row in range(20_000)
    ]
    columns, texts = columns_of(rows), strings_of([None] * len(rows))
    for item in (0, 7, 8, 9):
        where = {"k": {"$contains": item}}
        assert ask(where, columns, texts) == [holds(where, row, None) for row in rows]


def test_documents_are_read_only_where_they_matter() -> None:
    """`$and` narrows the rows before a document is looked at, whatever the order of its clauses; `$or` too."""

    class Watched(StringColumn):
        __slots__ = ()

        def contains(self, needle: bytes, candidates: Any = None) -> Any:
            seen.append(None if candidates is None else candidates.tolist())
            return super().contains(needle, candidates)

    seen: list[Any] = []
    columns = columns_of([{"k": 1}, {"k": 2}, None])
    texts = strings_of(["a", "a", "a"])
    watched = Watched(texts.data, texts.offsets, texts.validity)
    assert ask({"$and": [{"#document": {"$contains": "a"}}, {"k": 2}]}, columns, watched) == [False, True, False]
    assert ask({"$or": [{"#document": {"$contains": "a"}}, {"k": 2}]}, columns, watched) == [True, True, True]
    assert seen == [[False, True, False], [True, False, True]]


def test_where_document_is_evaluated_alike() -> None:
    columns, texts = columns_of([None] * 4), strings_of(["ab", "b", "", None])

    def holding(clause: dict[str, Any]) -> list[int]:
        tree = parse_where_document(clause)
        assert tree is not None
        return np.flatnonzero(evaluate(tree, columns, texts)).tolist()

    assert holding({"$contains": "b"}) == [0, 1]
    assert holding({"$and": [{"$contains": "b"}, {"$not_contains": "a"}]}) == [1]
    assert holding({"$or": [{"$regex": "^a"}, {"$not_regex": "."}]}) == [0, 2, 3]
