"""The filter's abstract syntax tree: `where` and `where_document` without their JSON syntax.

::

    Filter = And | Or                      of filters; without children: all rows, no rows
           | Compare | In | ListContains   metadata: a scalar against one value, against several; an item of a list
           | StringMatchesRegex            metadata: a regular expression over a string
           | Contains | MatchesRegex       the document: a substring, a regular expression
           | IdIn                          the id, one of several

A `negated` leaf is the complement: it holds for every row for which the plain leaf does not hold, also for rows without
the key or without a document.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from afterglow.columns.column import ColumnType

Scalar = bool | int | float | str
_FEW_OPERANDS = 100


class Comparison(StrEnum):
    """Comparison operators for scalars; the ordering operators take numbers only."""

    EQ = "$eq"
    NE = "$ne"
    GT = "$gt"
    GTE = "$gte"
    LT = "$lt"
    LTE = "$lte"


@dataclass(frozen=True, slots=True)
class And:
    """Rows for which every child holds."""

    children: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Rows for which at least one child holds."""

    children: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """Rows whose value of `key` satisfies the comparison; ints and floats compare numerically. NE is the complement."""

    key: str
    comparison: Comparison
    value: Scalar

    @property
    def negated(self) -> bool:
        """Whether this is the complement of another condition."""
        return self.comparison is Comparison.NE


@dataclass(frozen=True, slots=True)
class In:
    """Rows whose value of `key` equals one of `values`, all of type `value_type` (floats may be mixed with ints)."""

    key: str
    value_type: ColumnType
    values: tuple[Scalar, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class ListContains:
    """Rows whose value of `key` is a list with the item `value`, of exactly that type."""

    key: str
    value: Scalar
    negated: bool = False


@dataclass(frozen=True, slots=True)
class StringMatchesRegex:
    """Rows whose value of `key` is a string that matches the regular expression `pattern` anywhere."""

    key: str
    pattern: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Contains:
    """Rows with a document that contains `text`."""

    text: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class MatchesRegex:
    """Rows with a document that matches the regular expression `pattern` (Rust's syntax) anywhere."""

    pattern: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IdIn:
    """Rows of the records with one of these ids."""

    ids: tuple[str, ...]
    negated: bool = False


Leaf = Compare | In | ListContains | StringMatchesRegex | Contains | MatchesRegex | IdIn
Filter = And | Or | Leaf


def type_of(value: Scalar) -> ColumnType:
    """The column type of a scalar operand."""
    match value:
        case bool():
            return ColumnType.BOOL
        case int():
            return ColumnType.INT
        case float():
            return ColumnType.FLOAT
        case str():
            return ColumnType.STR


def leaves(tree: Filter) -> Iterator[Leaf]:
    """The conditions of a filter, from left to right."""
    if isinstance(tree, And | Or):
        for child in tree.children:
            yield from leaves(child)
    else:
        yield tree


def operands(tree: Filter) -> Iterator[tuple[str, ColumnType]]:
    """The metadata keys that a filter reads, with the scalar type of the operand (for a list: of the items)."""
    for leaf in leaves(tree):
        match leaf:
            case Compare(key, _, value) | ListContains(key, value, _):
                yield key, type_of(value)
            case In(key, value_type, _, _):
                yield key, value_type
            case StringMatchesRegex(key):
                yield key, ColumnType.STR
            case Contains() | MatchesRegex() | IdIn():
                continue


def referenced_ids(tree: Filter) -> Iterator[str]:
    """The ids that a filter names."""
    for leaf in leaves(tree):
        if isinstance(leaf, IdIn):
            yield from leaf.ids


def is_costly(leaf: Leaf) -> bool:
    """Whether a condition may take more than a pass over one column: it reads documents, or has many operands."""
    match leaf:
        case Contains() | MatchesRegex() | StringMatchesRegex():
            return True
        case In(_, _, operands, _) | IdIn(operands, _):
            return len(operands) > _FEW_OPERANDS
        case _:
            return False


def reads_documents(tree: Filter) -> bool:
    """Whether a filter reads documents."""
    return any(isinstance(leaf, Contains | MatchesRegex) for leaf in leaves(tree))
