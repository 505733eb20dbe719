"""Parse the JSON of `where` and `where_document` to the filter tree.

Error texts are Chroma's: `Invalid where clause`, `Invalid where document clause`, and for a regular expression the
message of its parser (see `regex`). Values come from a JSON parser; an int beyond int64 is rejected, as in Chroma,
unless it is in a list that begins with a float.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from afterglow.columns.column import ColumnType
from afterglow.errors import InvalidArgument
from afterglow.filters.ast import (
    And,
    Compare,
    Comparison,
    Contains,
    Filter,
    IdIn,
    In,
    ListContains,
    MatchesRegex,
    Or,
    Scalar,
    StringMatchesRegex,
    type_of,
)
from afterglow.filters.budget import FilterBudget, unlimited

DOCUMENT = "#document"
ID = "#id"
MAX_DEPTH = 64
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
COMPARISONS = {comparison.value: comparison for comparison in Comparison}
ANY_SCALAR = frozenset({Comparison.EQ, Comparison.NE})
NUMBERS = frozenset({ColumnType.INT, ColumnType.FLOAT})


def parse_where(value: object, budget: FilterBudget | None = None) -> Filter | None:
    """The filter of a `where` clause, None for None; takes its size from the `budget` of the request.

    Raises InvalidArgument for an invalid clause, LimitExceeded for one over the budget.
    """
    return None if value is None else _where(value, _Place(MAX_DEPTH, budget or unlimited()))


def parse_filter(value: object, budget: FilterBudget | None = None) -> Filter | None:
    """The filter of a search: a `where` clause in which `#id` is a record's id, not a metadata key.

    Raises InvalidArgument, LimitExceeded.
    """
    return None if value is None else _filter(value, _Place(MAX_DEPTH, budget or unlimited()))


def parse_where_document(value: object, budget: FilterBudget | None = None) -> Filter | None:
    """The filter of a `where_document` clause, None for None. Raises InvalidArgument, LimitExceeded."""
    return None if value is None else _where_document(value, _Place(MAX_DEPTH, budget or unlimited()))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a clause stands: how many levels it may have, and the budget that it takes its size from."""

    depth: int
    budget: FilterBudget

    def below(self) -> "_Place":
        return _Place(self.depth - 1, self.budget)


def _filter(value: object, place: _Place) -> Filter:
    key, operand = _only_item(value, _invalid_where)
    if key in ("$and", "$or"):
        place.budget.take_condition()
        return _logical(key, operand, place, _filter, _invalid_where)
    condition = _where(value, place)
    if key != ID:
        return condition
    match condition:
        case Compare(_, Comparison.EQ | Comparison.NE, str(name)):
            return IdIn((name,), negated=condition.negated)
        case In(_, ColumnType.STR, names, negated):
            return IdIn(tuple(map(str, names)), negated)
        case StringMatchesRegex():
            raise _invalid_where()
        case _:
            # An id is never a number or a list.
            return condition


def _where(value: object, place: _Place) -> Filter:
    key, operand = _only_item(value, _invalid_where)
    place.budget.take_condition()
    if key in ("$and", "$or"):
        return _logical(key, operand, place, _where, _invalid_where)
    if key.startswith("$"):
        raise _invalid_where()
    if not isinstance(operand, dict):
        return Compare(key, Comparison.EQ, _scalar(operand))
    operator, operand = _only_item(operand, _invalid_where)
    if key == DOCUMENT:
        condition = _document_condition(operator, operand, place.budget)
        if condition is not None:
            return condition
    if operator in COMPARISONS:
        comparison = COMPARISONS[operator]
        scalar = _scalar(operand)
        if comparison not in ANY_SCALAR and type_of(scalar) not in NUMBERS:
            raise _invalid_where()
        return Compare(key, comparison, scalar)
    match operator:
        case "$in" | "$nin":
            return _in(key, operand, place.budget, negated=operator == "$nin")
        case "$contains" | "$not_contains" if key != DOCUMENT:
            return ListContains(key, _scalar(operand), negated=operator == "$not_contains")
        case "$regex" | "$not_regex" if key != DOCUMENT and isinstance(operand, str):
            return StringMatchesRegex(key, _valid_regex(operand, place.budget), negated=operator == "$not_regex")
        case _:
            raise _invalid_where()


def _where_document(value: object, place: _Place) -> Filter:
    operator, operand = _only_item(value, _invalid_where_document)
    place.budget.take_condition()
    if operator in ("$and", "$or"):
        return _logical(operator, operand, place, _where_document, _invalid_where_document)
    condition = _document_condition(operator, operand, place.budget)
    if condition is None:
        raise _invalid_where_document()
    return condition


def _logical(
    operator: str,
    operand: object,
    place: _Place,
    parse: Callable[[object, _Place], Filter],
    invalid: Callable[[], InvalidArgument],
) -> Filter:
    if not isinstance(operand, list) or place.depth == 1:
        raise invalid()
    below = place.below()
    children = tuple(parse(child, below) for child in operand)
    return And(children) if operator == "$and" else Or(children)


def _document_condition(operator: str, operand: object, budget: FilterBudget) -> Contains | MatchesRegex | None:
    """The condition on documents; None if the operator or its operand is not for documents."""
    if not isinstance(operand, str):
        return None
    match operator:
        case "$contains" | "$not_contains":
            return Contains(operand, negated=operator == "$not_contains")
        case "$regex" | "$not_regex":
            return MatchesRegex(_valid_regex(operand, budget), negated=operator == "$not_regex")
        case _:
            return None


def _valid_regex(pattern: str, budget: FilterBudget) -> str:
    # Imported here: few filters need it, and it would slow down cold starts.
    from afterglow.filters import regex

    budget.take_pattern(len(pattern))
    regex.compile_regex(pattern)
    return pattern


def _in(key: str, values: object, budget: FilterBudget, *, negated: bool) -> In:
    if not isinstance(values, list) or not values:
        raise _invalid_where()
    budget.take_values(len(values))
    is_float = isinstance(values[0], float)
    scalars = tuple(_scalar(_as_float(value) if is_float else value) for value in values)
    value_type = type_of(scalars[0])
    types = {type_of(scalar) for scalar in scalars}
    if types != {value_type} and not (value_type is ColumnType.FLOAT and types == NUMBERS):
        raise _invalid_where()
    return In(key, value_type, scalars, negated)


def _only_item(value: object, invalid: Callable[[], InvalidArgument]) -> tuple[str, Any]:
    """Key and value of an object with exactly one entry."""
    if not isinstance(value, dict) or len(value) != 1:
        raise invalid()
    ((key, content),) = value.items()
    return key, content


def _scalar(value: object) -> Scalar:
    if not isinstance(value, bool | int | float | str):
        raise _invalid_where()
    if isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX:
        raise _invalid_where()
    if isinstance(value, float) and not math.isfinite(value):
        raise _invalid_where()
    return value


def _as_float(value: object) -> object:
    """The value; an int beyond int64 as a float, as metadata has it."""
    return float(value) if type(value) is int and not INT64_MIN <= value <= INT64_MAX else value


def _invalid_where() -> InvalidArgument:
    return InvalidArgument("Invalid where clause")


def _invalid_where_document() -> InvalidArgument:
    return InvalidArgument("Invalid where document clause")
