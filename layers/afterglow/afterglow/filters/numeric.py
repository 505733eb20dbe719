"""Exact comparison of int64 and float64 arrays with a number.

numpy converts both operands to float64, where 2⁵³ and 2⁵³ + 1 are equal. So the scalar operand is rounded instead,
once: to the int, or the float, that splits the column's values at the same point. NaN satisfies no comparison (JSON has
none).
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.filters.ast import Comparison, Scalar

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
FEW_OPERANDS = 8
Operator = Callable[[Any, Any], Any]
OPERATORS: dict[Comparison, Operator] = {
    Comparison.EQ: operator.eq,
    Comparison.GT: operator.gt,
    Comparison.GTE: operator.ge,
    Comparison.LT: operator.lt,
    Comparison.LTE: operator.le,
}


def compare(values: NDArray[Any], comparison: Comparison, operand: float) -> NDArray[np.bool_]:
    """Mask of the values (int64 or float64) that satisfy a comparison, other than NE, with a finite number."""
    if values.dtype == np.int64:
        return _compare_ints(values, comparison, operand)
    return _compare_floats(values, comparison, operand)


def one_of(values: NDArray[Any], operands: Sequence[Scalar]) -> NDArray[np.bool_]:
    """Mask of the values (int64 or float64) that equal one of the numbers."""
    exact = {number for number in map(_converter(values.dtype), operands) if number is not None}
    if len(exact) <= FEW_OPERANDS:
        mask = np.zeros(len(values), dtype=np.bool_)
        for number in exact:
            mask |= values == number
        return mask
    ascending = np.array(sorted(exact), dtype=values.dtype)
    positions = np.searchsorted(ascending, values)
    positions[positions == len(ascending)] = 0
    return np.asarray(ascending[positions] == values)


def _compare_ints(values: NDArray[np.int64], comparison: Comparison, operand: float) -> NDArray[np.bool_]:
    match comparison:
        case Comparison.EQ if operand != math.floor(operand):
            return np.zeros(len(values), dtype=np.bool_)
        case Comparison.GT | Comparison.LTE:
            bound = math.floor(operand)
        case _:
            bound = math.ceil(operand)
    holds = OPERATORS[comparison]
    if INT64_MIN <= bound <= INT64_MAX:
        return np.asarray(holds(values, np.int64(bound)))
    return np.full(len(values), holds(0, bound), dtype=np.bool_)


def _compare_floats(values: NDArray[np.float64], comparison: Comparison, operand: float) -> NDArray[np.bool_]:
    nearest = float(operand)
    # There is no float between an int and its nearest float, so only the boundary itself may change sides.
    match comparison:
        case Comparison.EQ if nearest != operand:
            return np.zeros(len(values), dtype=np.bool_)
        case Comparison.GT | Comparison.GTE if nearest != operand:
            comparison = Comparison.GTE if nearest > operand else Comparison.GT
        case Comparison.LT | Comparison.LTE if nearest != operand:
            comparison = Comparison.LTE if nearest < operand else Comparison.LT
        case _:
            pass
    return np.asarray(OPERATORS[comparison](values, nearest))


def _converter(dtype: np.dtype[Any]) -> Callable[[Any], int | float | None]:
    return _as_int if dtype == np.int64 else _as_float


def _as_int(number: float) -> int | None:
    """The int64 equal to a number, None where there is none."""
    whole = math.floor(number)
    return whole if whole == number and INT64_MIN <= whole <= INT64_MAX else None


def _as_float(number: float) -> float | None:
    """The float64 equal to a number, None where there is none."""
    nearest = float(number)
    return nearest if nearest == number else None
