"""Parsing: what is understood, and what is refused in whose words."""

import math
from typing import Any

import pytest

from afterglow.columns import ColumnType
from afterglow.errors import InvalidArgument
from afterglow.filters import operands, parse_filter, parse_where, parse_where_document, reads_documents
from afterglow.filters.ast import (
    And,
    Compare,
    Comparison,
    Contains,
    IdIn,
    In,
    ListContains,
    MatchesRegex,
    Or,
    StringMatchesRegex,
    referenced_ids,
)
from afterglow.filters.parse import MAX_DEPTH


def nested(levels: int, leaf: Any, operator: str = "$and") -> Any:
    clause = leaf
    for _ in range(levels):
        clause = {operator: [clause]}
    return clause


def test_null_is_no_filter() -> None:
    assert parse_where(None) is None
    assert parse_where_document(None) is None


@pytest.mark.parametrize(
    ("clause", "tree"),
    [
        ({"k": 1}, Compare("k", Comparison.EQ, 1)),
        ({"": "x"}, Compare("", Comparison.EQ, "x")),
        ({"#id": {"$ne": "x"}}, Compare("#id", Comparison.NE, "x")),
        ({"k": {"$lte": -1.5}}, Compare("k", Comparison.LTE, -1.5)),
        ({"k": {"$in": [1.5, 2]}}, In("k", ColumnType.FLOAT, (1.5, 2))),
        ({"k": {"$in": [1.5, 2**63, -(2**63)]}}, In("k", ColumnType.FLOAT, (1.5, 2.0**63, -(2**63)))),
        ({"k": {"$nin": [True]}}, In("k", ColumnType.BOOL, (True,), negated=True)),
        ({"k": {"$contains": 1}}, ListContains("k", 1)),
        ({"k": {"$not_contains": "x"}}, ListContains("k", "x", negated=True)),
        ({"#document": {"$contains": "x"}}, Contains("x")),
        ({"#document": {"$not_regex": "x"}}, MatchesRegex("x", negated=True)),
        ({"k": {"$regex": "x+"}}, StringMatchesRegex("k", "x+")),
        ({"k": {"$not_regex": "x+"}}, StringMatchesRegex("k", "x+", negated=True)),
        ({"#document": "x"}, Compare("#document", Comparison.EQ, "x")),
        ({"$and": []}, And(())),
        ({"$or": [{"k": True}]}, Or((Compare("k", Comparison.EQ, True),))),
        ({"k": 2**63 - 1}, Compare("k", Comparison.EQ, 2**63 - 1)),
    ],
)
def test_where(clause: object, tree: object) -> None:
    assert parse_where(clause) == tree


@pytest.mark.parametrize(
    "clause",
    [
        {}, [], "x", 1, True, [{"k": 1}], {"k": 1, "l": 2}, {"k": None}, {"k": [1]}, {"k": {}}, {"k": 2**63},
        {"k": -(2**63) - 1}, {"k": math.inf}, {"k": {"$eq": None}}, {"k": {"$gt": 1, "$lt": 2}}, {"k": {"$foo": 1}},
        {"k": {"$gt": "x"}}, {"k": {"$lte": True}}, {"k": {"$in": []}}, {"k": {"$in": 1}}, {"k": {"$in": [1, 1.5]}},
        {"k": {"$in": [2**63, 1.5]}}, {"k": {"$in": [1, 2**63]}}, {"k": {"$in": [1, True]}},
        {"k": {"$in": ["x", 1]}}, {"k": {"$in": [1.5, True]}}, {"k": {"$in": [None]}},
        {"k": {"$contains": [1]}}, {"k": {"$contains": None}}, {"k": {"$regex": 1}}, {"k": {"$not_regex": None}},
        {"#document": {"$contains": 1}}, {"#document": {"$regex": 1}}, {"$not": [{"k": 1}]}, {"$foo": 1}, {"$and": {}},
        {"$and": None}, {"$or": [{}]}, {"$and": [{"k": 1}, None]}, {"$in": [1]},
    ],
)  # fmt: skip
def test_invalid_where_clauses(clause: object) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_where(clause)
    assert refused.value.message == "Invalid where clause"


@pytest.mark.parametrize(
    ("clause", "tree"),
    [
        ({"$contains": ""}, Contains("")),
        ({"$not_contains": "x"}, Contains("x", negated=True)),
        ({"$regex": "x+"}, MatchesRegex("x+")),
        ({"$and": [{"$contains": "x"}, {"$or": []}]}, And((Contains("x"), Or(())))),
    ],
)
def test_where_document(clause: object, tree: object) -> None:
    assert parse_where_document(clause) == tree


@pytest.mark.parametrize(
    "clause",
    [
        {}, [], "x", {"k": 1}, {"$contains": 1}, {"$contains": ["x"]}, {"$regex": None}, {"$eq": "x"}, {"$and": "x"},
        {"$contains": "x", "$regex": "x"}, {"$and": [{}]}, {"#document": {"$contains": "x"}},
    ],
)  # fmt: skip
def test_invalid_where_document_clauses(clause: object) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_where_document(clause)
    assert refused.value.message == "Invalid where document clause"


def test_a_clause_may_be_nested_as_deep_as_chroma_allows() -> None:
    assert parse_where(nested(MAX_DEPTH - 1, {"k": 1})) is not None
    assert parse_where_document(nested(MAX_DEPTH - 1, {"$contains": "x"}, "$or")) is not None
    for levels in (MAX_DEPTH, 512, 10_000):
        with pytest.raises(InvalidArgument, match="Invalid where clause"):
            parse_where(nested(levels, {"k": 1}))
        with pytest.raises(InvalidArgument, match="Invalid where document clause"):
            parse_where_document(nested(levels, {"$contains": "x"}))


def test_the_keys_and_documents_that_a_filter_reads() -> None:
    tree = parse_where(
        {
            "$and": [
                {"a": 1},
                {"$or": [{"b": {"$in": [1.5, 2]}}, {"c": {"$contains": "x"}}, {"d": {"$ne": True}}]},
                {"#document": {"$contains": "x"}},
            ]
        }
    )
    assert tree is not None
    assert list(operands(tree)) == [
        ("a", ColumnType.INT),
        ("b", ColumnType.FLOAT),
        ("c", ColumnType.STR),
        ("d", ColumnType.BOOL),
    ]
    assert reads_documents(tree)
    assert not reads_documents(And((Compare("a", Comparison.EQ, 1),)))


@pytest.mark.parametrize(
    ("clause", "tree"),
    [
        ({"#id": "x"}, IdIn(("x",))),
        ({"#id": {"$ne": "x"}}, IdIn(("x",), negated=True)),
        ({"#id": {"$in": ["x", "y"]}}, IdIn(("x", "y"))),
        ({"#id": {"$nin": ["x"]}}, IdIn(("x",), negated=True)),
        ({"#id": 1}, Compare("#id", Comparison.EQ, 1)),
        ({"#id": {"$contains": "x"}}, ListContains("#id", "x")),
        ({"k": {"$in": ["x"]}}, In("k", ColumnType.STR, ("x",))),
        (
            {"$or": [{"#id": "x"}, {"$and": [{"#document": {"$regex": "x"}}]}]},
            Or((IdIn(("x",)), And((MatchesRegex("x"),)))),
        ),
        (None, None),
    ],
    ids=repr,
)
def test_the_filter_of_a_search_knows_ids(clause: Any, tree: Any) -> None:
    assert parse_filter(clause) == tree


def test_a_filter_tells_which_ids_it_names() -> None:
    tree = parse_filter({"$or": [{"#id": {"$nin": ["y", "x"]}}, {"$and": [{"#id": "z"}, {"k": "w"}]}]})
    assert tree is not None
    assert list(referenced_ids(tree)) == ["y", "x", "z"]


def test_the_filter_of_a_search_is_refused_as_a_where_clause_is() -> None:
    assert parse_filter(nested(MAX_DEPTH - 1, {"#id": "x"})) is not None
    clauses: list[Any] = [
        {},
        {"#id": {"$gt": "x"}},
        {"#id": {"$regex": "x"}},
        {"#id": {"$in": []}},
        nested(MAX_DEPTH, {"#id": "x"}),
    ]
    for clause in clauses:
        with pytest.raises(InvalidArgument, match="Invalid where clause"):
            parse_filter(clause)
