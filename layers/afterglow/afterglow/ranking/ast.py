"""The rank expression: the meaning of `rank`, independent of its JSON.

::

    Rank = Value               one number for every record
         | KnnScore            the distances, or ranks, of the hits of the search's n-th $knn
         | Unary               a function of one expression
         | Binary              left − right, left ÷ right
         | Nary                sum, product, maximum or minimum of several
         | Rerank              scores of a cross-encoder for the best records of an expression
"""

from dataclasses import dataclass
from enum import StrEnum


class Function(StrEnum):
    """Functions of one number."""

    ABS = "$abs"
    EXP = "$exp"
    LOG = "$log"


class BinaryOp(StrEnum):
    """Non-commutative operators of two numbers."""

    SUB = "$sub"
    DIV = "$div"


class NaryOp(StrEnum):
    """Operators of any number of numbers."""

    SUM = "$sum"
    MUL = "$mul"
    MAX = "$max"
    MIN = "$min"


@dataclass(frozen=True, slots=True)
class Value:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True)
class KnnScore:
    """The hits of the $knn of this number; `default` is the score of all other records, None where they drop out."""

    number: int
    default: float | None = None
    by_rank: bool = False


@dataclass(frozen=True, slots=True)
class Unary:
    """A function of an expression."""

    function: Function
    operand: "Rank"


@dataclass(frozen=True, slots=True)
class Binary:
    """Two expressions, in this order."""

    operator: BinaryOp
    left: "Rank"
    right: "Rank"


@dataclass(frozen=True, slots=True)
class Nary:
    """Several expressions from left to right."""

    operator: NaryOp
    operands: tuple["Rank", ...]


@dataclass(frozen=True, slots=True)
class Rerank:
    """The `limit` first records of an expression, scored again for the search's query text of this number.

    `default` and `by_rank` as in KnnScore.
    """

    number: int
    operand: "Rank"
    limit: int
    default: float | None = None
    by_rank: bool = False


Rank = Value | KnnScore | Unary | Binary | Nary | Rerank


def operators(rank: Rank) -> int:
    """The number of operators, constants and $knn of an expression."""
    match rank:
        case Value() | KnnScore():
            return 1
        case Unary(_, operand) | Rerank(_, operand):
            return 1 + operators(operand)
        case Binary(_, left, right):
            return 1 + operators(left) + operators(right)
        case Nary(_, operands):
            return 1 + sum(map(operators, operands))
