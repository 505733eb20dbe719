"""The rank expression: what `rank` means, free of its JSON.

::

    Rank = Value               one number for every record
         | Nearest             the distances, or ranks, of what the search's n-th $knn found
         | Mapped              a function of one expression
         | Paired              left − right, left ÷ right
         | Folded              sum, product, largest or smallest of several
"""

from dataclasses import dataclass
from enum import StrEnum


class Function(StrEnum):
    """Functions of one number."""

    ABS = "$abs"
    EXP = "$exp"
    LOG = "$log"


class BinaryOp(StrEnum):
    """Operators of two numbers whose order counts."""

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
    """What the $knn of this number found; `default` is the score of all other records, None where they drop out."""

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

    pairing: BinaryOp
    left: "Rank"
    right: "Rank"


@dataclass(frozen=True, slots=True)
class Nary:
    """Several expressions from left to right."""

    folding: NaryOp
    operands: tuple["Rank", ...]


Rank = Value | KnnScore | Unary | Binary | Nary
