"""Evaluates an expression over the hits of each of its $knn: the scores of records.

Evaluation recurses as deep as the expression nests: the parser bounds the depth.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from afterglow.ranking.ast import Binary, BinaryOp, Function, KnnScore, Nary, NaryOp, Rank, Rerank, Unary, Value
from afterglow.ranking.scores import KnnHits, Scores, ScoreSet, apply, combine, constant, from_hits

_FUNCTIONS: dict[Function, Callable[..., Scores]] = {
    Function.ABS: np.abs,
    Function.EXP: np.exp,
    Function.LOG: np.log,
}
_BINARY_OPERATORS: dict[BinaryOp, Callable[..., Scores]] = {BinaryOp.SUB: np.subtract, BinaryOp.DIV: np.divide}
# $max and $min ignore NaN, as the maximum and minimum of Rust do.
_NARY_OPERATORS: dict[NaryOp, tuple[Callable[..., Any], float]] = {
    NaryOp.SUM: (np.add, 0.0),
    NaryOp.MUL: (np.multiply, 1.0),
    NaryOp.MAX: (np.fmax, -np.inf),
    NaryOp.MIN: (np.fmin, np.inf),
}

Rescore = Callable[[Rerank, ScoreSet], KnnHits]
"""The first records of a score set, by what a reranker says of them: the best first, greater scores for worse ones."""


def evaluate(rank: Rank, hits: Sequence[KnnHits], rescore: Rescore | None = None) -> ScoreSet:
    """The scores of the records that the expression supports; `hits` are in the order of the $knn's numbers.

    An expression with a reranker needs `rescore`.
    """
    with np.errstate(all="ignore"):
        return _evaluate(rank, hits, rescore)


def _evaluate(rank: Rank, hits: Sequence[KnnHits], rescore: Rescore | None) -> ScoreSet:
    match rank:
        case Value(value):
            return constant(value)
        case KnnScore(number, default, by_rank):
            return from_hits(hits[number], default, by_rank=by_rank)
        case Unary(function, operand):
            return apply(_evaluate(operand, hits, rescore), _FUNCTIONS[function])
        case Binary(operator, left, right):
            return combine(_evaluate(left, hits, rescore), _evaluate(right, hits, rescore), _BINARY_OPERATORS[operator])
        case Nary(nary_operator, operands):
            ufunc, neutral = _NARY_OPERATORS[nary_operator]
            score_sets = [_evaluate(operand, hits, rescore) for operand in operands]
            return reduce(lambda left, right: combine(left, right, ufunc), score_sets or [constant(neutral)])
        case Rerank(_, operand, _, default, by_rank):
            assert rescore is not None, "an expression with a reranker"
            return from_hits(rescore(rank, _evaluate(operand, hits, rescore)), default, by_rank=by_rank)
