"""Evaluation: expressions over the hits of each $knn, against arithmetic record by record."""

import math
from dataclasses import replace
from typing import Any, assert_never

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.ranking.ast import Binary, BinaryOp, Function, KnnScore, Nary, NaryOp, Rank, Rerank, Unary, Value
from afterglow.ranking.evaluate import evaluate
from afterglow.ranking.scores import KnnHits, ScoreSet
from tests.ranking.reference import BINARY_OPERATORS, FUNCTIONS, NARY_OPERATORS

RECORDS = range(8)
numbers = st.integers(-8, 8).map(lambda number: number / 4)
hit_lists = st.dictionaries(st.sampled_from(RECORDS), numbers, max_size=6)
leaves: st.SearchStrategy[Rank] = st.builds(Value, numbers) | st.builds(
    KnnScore, st.integers(0, 1), st.none() | numbers, st.booleans()
)


def deeper(operands: st.SearchStrategy[Rank]) -> st.SearchStrategy[Rank]:
    return st.one_of(
        st.builds(Unary, st.sampled_from(Function), operands),
        st.builds(Binary, st.sampled_from(BinaryOp), operands, operands),
        st.builds(Nary, st.sampled_from(NaryOp), st.lists(operands, max_size=3).map(tuple)),
        st.builds(Rerank, st.integers(0, 1), operands, st.integers(0, 4), st.none() | numbers, st.booleans()),
    )


expressions = st.recursive(leaves, deeper, max_leaves=6)


def hits_of(distances: dict[int, float]) -> KnnHits:
    nearest_first = sorted(distances, key=lambda record: (distances[record], record))
    return KnnHits(
        np.array(nearest_first, dtype=np.int64), np.array([distances[record] for record in nearest_first], np.float32)
    )


def rescore(rank: Rerank, scored: ScoreSet) -> KnnHits:
    """A reranker for which a record's number is its score, from the end for the second query."""
    order = np.lexsort((scored.records, scored.scores))[: rank.limit]
    sign = -1 if rank.number else 1
    return hits_of({record: float(sign * record) for record in scored.records[order].tolist()})


def score(rank: Rank, hits: list[KnnHits], record: int) -> Any:
    """The score of one record, None where it drops out."""
    match rank:
        case Value(value):
            return np.float32(value)
        case KnnScore(number, default, by_rank):
            records = hits[number].records.tolist()
            if record not in records:
                return None if default is None else np.float32(default)
            position = records.index(record)
            return np.float32(position) if by_rank else hits[number].distances[position]
        case Unary(function, operand):
            inner = score(operand, hits, record)
            return None if inner is None else np.float32(FUNCTIONS[function](inner))
        case Binary(binary, left, right):
            pair = [score(operand, hits, record) for operand in (left, right)]
            return None if any(value is None for value in pair) else np.float32(BINARY_OPERATORS[binary](*pair))
        case Nary(nary, operands):
            ufunc, neutral = NARY_OPERATORS[nary]
            values = [score(operand, hits, record) for operand in operands]
            if any(value is None for value in values):
                return None
            result = values[0] if values else np.float32(neutral)
            for value in values[1:]:
                result = np.float32(ufunc(result, value))
            return result
        case Rerank(number, operand, limit, default, by_rank):
            scores = {other: score(operand, hits, other) for other in supported(operand, hits)}
            first = sorted(scores, key=lambda other: (np.isnan(scores[other]), scores[other], other))[:limit]
            best = sorted(first, key=lambda other: -other if number else other)
            if record not in best:
                return None if default is None else np.float32(default)
            return np.float32(best.index(record) if by_rank else -record if number else record)


def supported(rank: Rank, hits: list[KnnHits]) -> set[int]:
    """The records that an expression adds: those of its hits, where no operand drops them."""
    operands: tuple[Rank, ...]
    match rank:
        case Value():
            return set()
        case KnnScore(number):
            return set(hits[number].records.tolist())
        case Rerank():
            return {record for record in RECORDS if score(replace(rank, default=None), hits, record) is not None}
        case Unary(_, operand):
            return supported(operand, hits)
        case Binary(_, left, right):
            operands = (left, right)
        case Nary(_, several):
            operands = several
        case _:
            assert_never(rank)
    added = set().union(*(supported(operand, hits) for operand in operands))
    return {record for record in added if score(rank, hits, record) is not None}


@given(expressions, hit_lists, hit_lists)
def test_an_expression_is_evaluated_record_by_record(
    rank: Rank, one: dict[int, float], other: dict[int, float]
) -> None:
    hits = [hits_of(one), hits_of(other)]
    scored = evaluate(rank, hits, rescore)
    assert scored.scores.dtype == np.float32
    support = dict(zip(scored.records.tolist(), scored.scores.tolist(), strict=True))
    with np.errstate(all="ignore"):
        for record in RECORDS:
            expected = score(rank, hits, record)
            found = support.get(record, scored.default)
            assert (found is None) == (expected is None)
            if expected is not None and found is not None:
                np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_reciprocal_rank_fusion() -> None:
    """RRF (Cormack et al. 2009) as an expression: −(1 / (60 + rank) + 1 / (60 + rank))."""
    terms = tuple(
        Binary(BinaryOp.DIV, Value(1), Nary(NaryOp.SUM, (Value(60), KnnScore(number, 1_000.0, by_rank=True))))
        for number in (0, 1)
    )
    rank = Nary(NaryOp.MUL, (Value(-1), Nary(NaryOp.SUM, terms)))
    scored = evaluate(rank, [hits_of({3: 0.1, 4: 0.2}), hits_of({4: 0.1})])
    assert scored.records.tolist() == [3, 4]
    np.testing.assert_allclose(scored.scores, [-(1 / 60 + 1 / 1060), -(1 / 61 + 1 / 60)], rtol=1e-6)


@pytest.mark.parametrize(
    ("rank", "expected"),
    [
        (Binary(BinaryOp.DIV, Value(1), Value(0)), math.inf),
        (Unary(Function.LOG, Value(0)), -math.inf),
        (Unary(Function.LOG, Value(-1)), math.nan),
        (Unary(Function.EXP, Value(1_000)), math.inf),
        (Nary(NaryOp.MAX, (Unary(Function.LOG, Value(-1)), Value(2))), 2.0),
        (Nary(NaryOp.MIN, (Value(2), Unary(Function.LOG, Value(-1)))), 2.0),
        (Nary(NaryOp.SUM, ()), 0.0),
        (Nary(NaryOp.MUL, ()), 1.0),
        (Nary(NaryOp.MAX, ()), -math.inf),
        (Nary(NaryOp.MIN, ()), math.inf),
    ],
)
def test_results_are_those_of_ieee_754(rank: Rank, expected: float) -> None:
    np.testing.assert_equal(evaluate(rank, []).default, np.float32(expected))
