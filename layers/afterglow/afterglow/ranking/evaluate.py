"""From an expression, and what each of its $knn found, to the scores of records.

Expressions are as deep as they nest: whoever makes them bounds that.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from afterglow.ranking.ast import Binary, BinaryOp, Function, KnnScore, Nary, NaryOp, Rank, Unary, Value
from afterglow.ranking.scores import KnnHits, Scores, ScoreSet, apply, combine, constant, of_found

_FUNCTIONS: dict[Function, Callable[..., Scores]] = {
    Function.ABS: np.abs,
    Function.EXP: np.exp,
    Function.LOG: np.log,
}
_PAIRINGS: dict[BinaryOp, Callable[..., Scores]] = {BinaryOp.SUB: np.subtract, BinaryOp.DIV: np.divide}
# The largest and smallest pass over NaN, as Rust's do.
_FOLDINGS: dict[NaryOp, tuple[Callable[..., Any], float]] = {
    NaryOp.SUM: (np.add, 0.0),
    NaryOp.MUL: (np.multiply, 1.0),
    NaryOp.MAX: (np.fmax, -np.inf),
    NaryOp.MIN: (np.fmin, np.inf),
}


def evaluate(rank: Rank, found: Sequence[KnnHits]) -> ScoreSet:
    """The scores of the records that the expression supports; `found` is in the order of the $knn's numbers."""
    with np.errstate(all="ignore"):
        return _evaluate(rank, found)


def _evaluate(rank: Rank, found: Sequence[KnnHits]) -> ScoreSet:
    match rank:
        case Value(value):
            return constant(value)
        case KnnScore(number, default, by_rank):
            return of_found(found[number], default, by_rank=by_rank)
        case Unary(function, operand):
            return apply(_evaluate(operand, found), _FUNCTIONS[function])
        case Binary(pairing, left, right):
            return combine(_evaluate(left, found), _evaluate(right, found), _PAIRINGS[pairing])
        case Nary(folding, operands):
            operator, neutral = _FOLDINGS[folding]
            domains = [_evaluate(each, found) for each in operands]
            return reduce(lambda left, right: combine(left, right, operator), domains or [constant(neutral)])
