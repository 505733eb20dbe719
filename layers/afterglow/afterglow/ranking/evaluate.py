"""From an expression, and what each of its $knn found, to the scores of records.

Expressions are as deep as they nest: whoever makes them bounds that.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from afterglow.ranking.ast import Folded, Folding, Function, Mapped, Nearest, Paired, Pairing, Rank, Value
from afterglow.ranking.scores import Domain, Found, Scores, combined, flat, mapped, of_found

_FUNCTIONS: dict[Function, Callable[..., Scores]] = {
    Function.ABS: np.abs,
    Function.EXP: np.exp,
    Function.LOG: np.log,
}
_PAIRINGS: dict[Pairing, Callable[..., Scores]] = {Pairing.SUB: np.subtract, Pairing.DIV: np.divide}
# The largest and smallest pass over NaN, as Rust's do.
_FOLDINGS: dict[Folding, tuple[Callable[..., Any], float]] = {
    Folding.SUM: (np.add, 0.0),
    Folding.MUL: (np.multiply, 1.0),
    Folding.MAX: (np.fmax, -np.inf),
    Folding.MIN: (np.fmin, np.inf),
}


def evaluate(rank: Rank, found: Sequence[Found]) -> Domain:
    """The scores of the records that the expression supports; `found` is in the order of the $knn's numbers."""
    with np.errstate(all="ignore"):
        return _evaluate(rank, found)


def _evaluate(rank: Rank, found: Sequence[Found]) -> Domain:
    match rank:
        case Value(value):
            return flat(value)
        case Nearest(number, default, by_rank):
            return of_found(found[number], default, by_rank=by_rank)
        case Mapped(function, operand):
            return mapped(_evaluate(operand, found), _FUNCTIONS[function])
        case Paired(pairing, left, right):
            return combined(_evaluate(left, found), _evaluate(right, found), _PAIRINGS[pairing])
        case Folded(folding, operands):
            operator, neutral = _FOLDINGS[folding]
            domains = [_evaluate(each, found) for each in operands]
            return reduce(lambda left, right: combined(left, right, operator), domains or [flat(neutral)])
