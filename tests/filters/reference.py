"""The reference: filters evaluated record by record in plain Python, and strategies for clauses."""

import re
from typing import Any

from hypothesis import strategies as st

from tests.columns.records import EDGE_FLOATS, EDGE_INTS, KEYS, LETTERS, STRINGS, floats, ints, scalars, strings

Metadata = dict[str, Any] | None

COMPARE = {
    "$gt": lambda value, operand: value > operand,
    "$gte": lambda value, operand: value >= operand,
    "$lt": lambda value, operand: value < operand,
    "$lte": lambda value, operand: value <= operand,
}
COMPLEMENTS = {"$ne": "$eq", "$nin": "$in", "$not_contains": "$contains", "$not_regex": "$regex"}


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(value: Any, operand: Any) -> bool:
    """Numbers by their worth (Python compares int and float exactly), all else by type and content."""
    if is_number(value) and is_number(operand):
        return bool(value == operand)
    return type(value) is type(operand) and bool(value == operand)


def holds(where: dict[str, Any], metadata: Metadata, document: str | None) -> bool:
    """Whether a record satisfies a `where` clause."""
    ((key, condition),) = where.items()
    if key == "$and":
        return all(holds(child, metadata, document) for child in condition)
    if key == "$or":
        return any(holds(child, metadata, document) for child in condition)
    if not isinstance(condition, dict):
        condition = {"$eq": condition}
    ((operator, operand),) = condition.items()
    if operator in COMPLEMENTS:
        return not holds({key: {COMPLEMENTS[operator]: operand}}, metadata, document)
    if key == "#document":
        return document_holds(operator, operand, document)
    value = (metadata or {}).get(key)
    match operator:
        case "$eq":
            return equal(value, operand)
        case "$in":
            return any(equal(value, member) for member in operand)
        case "$contains":
            return isinstance(value, list) and any(type(item) is type(operand) and item == operand for item in value)
        case "$regex":
            return isinstance(value, str) and re.search(operand, value) is not None
        case _:
            return is_number(value) and COMPARE[operator](value, operand)


def document_holds(operator: str, operand: str, document: str | None) -> bool:
    """Whether a document satisfies `$contains` or `$regex`."""
    if document is None:
        return False
    return operand in document if operator == "$contains" else re.search(operand, document) is not None


# Patterns on which Rust's and Python's syntax agree.
PATTERNS = ("a", "ab", "b+ é", "a.b", "[^a]", "^a", "^", "(?i)A", "é|%", r"\s", r"\x00")
numbers = st.sampled_from(EDGE_INTS) | st.sampled_from(EDGE_FLOATS) | ints | floats
some_ints = st.lists(ints, min_size=1, max_size=12)
some_floats = st.tuples(floats, st.lists(ints | floats, max_size=11)).map(lambda pair: [pair[0], *pair[1]])
operand_lists = (
    some_ints | some_floats | st.lists(strings, min_size=1, max_size=4) | st.lists(st.booleans(), min_size=1)
)


def one(key: Any, value: Any) -> Any:
    """A one-key object of two strategies."""
    return st.tuples(key, value).map(lambda pair: {pair[0]: pair[1]})


conditions = (
    scalars
    | one(st.sampled_from(("$eq", "$ne", "$contains", "$not_contains")), scalars | st.sampled_from(STRINGS))
    | one(st.sampled_from(tuple(COMPARE)), numbers)
    | one(st.sampled_from(("$in", "$nin")), operand_lists)
    | one(st.sampled_from(("$regex", "$not_regex")), st.sampled_from(PATTERNS))
)
document_conditions = one(st.sampled_from(("$contains", "$not_contains")), st.text(LETTERS, max_size=3)) | one(
    st.sampled_from(("$regex", "$not_regex")), st.sampled_from(PATTERNS)
)
leaves = one(st.sampled_from(KEYS), conditions) | one(st.just("#document"), document_conditions)
wheres = st.recursive(
    leaves, lambda clauses: one(st.sampled_from(("$and", "$or")), st.lists(clauses, max_size=3)), max_leaves=6
)
