"""The expression: nodes are values, and their operators are the names of the API."""

import pytest

from afterglow.ranking.ast import Binary, BinaryOp, Function, KnnScore, Nary, NaryOp, Unary, Value
from tests.ranking.reference import BINARY_OPERATORS, FUNCTIONS, NARY_OPERATORS


def test_expressions_are_compared_by_value() -> None:
    one, other = (Binary(BinaryOp.SUB, KnnScore(0), Nary(NaryOp.SUM, (Value(1), Value(2)))) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != Binary(BinaryOp.DIV, one.left, one.right)
    with pytest.raises(AttributeError):
        one.left = Value(3)  # type: ignore[misc]


def test_records_without_a_hit_drop_out_unless_there_is_a_default() -> None:
    assert KnnScore(2) == KnnScore(2, default=None, by_rank=False)


def test_the_operators_are_those_of_the_api() -> None:
    assert {function.value for function in Function} == FUNCTIONS.keys()
    assert {operator.value for operator in BinaryOp} == BINARY_OPERATORS.keys()
    assert {operator.value for operator in NaryOp} == NARY_OPERATORS.keys()
    assert Unary(Function("$abs"), Value(-1)).function is Function.ABS
