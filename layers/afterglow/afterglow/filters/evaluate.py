"""Evaluate a filter over columns and documents to a row mask.

Metadata conditions come first: each is one pass over a column. Documents are searched last, and only in rows that the
other conditions have not decided. Numbers are compared exactly: an int64 is never rounded to a float for a comparison.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.column import LIST_TYPE, Column, ColumnSet, ColumnType
from afterglow.columns.string_column import StringColumn
from afterglow.filters import numeric
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
    leaves,
    type_of,
)

if TYPE_CHECKING:
    from afterglow.filters.regex import Regex

Mask = NDArray[np.bool_]
NO_IDS: Mapping[str, int] = {}
MAX_HITS_TO_LOOK_UP = 2048
"""List items: up to this many hits, a binary search per hit is faster than a pass over the offsets."""
MIN_PREFILTER_LENGTH = 3
"""A literal of a regular expression is used as a substring prefilter from this many bytes on."""


def evaluate(
    tree: Filter,
    columns: ColumnSet,
    documents: StringColumn,
    candidates: Mask | None = None,
    row_of_id: Mapping[str, int] = NO_IDS,
) -> Mask:
    """The rows that satisfy the filter: bool_ (rows,), False outside `candidates` (None: all rows).

    `columns` and `documents` have the same rows. `row_of_id` has the row of every id in the filter that is among them.
    """
    if isinstance(tree, And):
        return _all_of(tree.children, columns, documents, candidates, row_of_id)
    if isinstance(tree, Or):
        return _any_of(tree.children, columns, documents, candidates, row_of_id)
    if isinstance(tree, IdIn):
        mask = _rows_with_ids(columns, tree.ids, row_of_id)
    else:
        mask = _evaluate_leaf(tree, columns, documents, candidates)
    if tree.negated:
        mask = ~mask
    return mask if candidates is None else mask & candidates


def _evaluate_leaf(
    leaf: Compare | In | ListContains | StringMatchesRegex | Contains | MatchesRegex,
    columns: ColumnSet,
    documents: StringColumn,
    candidates: Mask | None,
) -> Mask:
    """The rows that satisfy a condition, ignoring its negation; only valid for the candidates."""
    match leaf:
        case Contains(text):
            return documents.contains(text.encode(), candidates)
        case MatchesRegex(pattern):
            return _regex_matches(_compiled(pattern), documents, candidates)
        case StringMatchesRegex(key, pattern):
            return _matching_strings(columns, key, _compiled(pattern))
        case Compare(key, comparison, value):
            return _compare(columns, key, Comparison.EQ if leaf.negated else comparison, value)
        case In(key, value_type, values):
            return _in(columns, key, value_type, values)
        case ListContains(key, value):
            return _list_contains(columns, key, value)


def _all_of(
    children: Sequence[Filter],
    columns: ColumnSet,
    documents: StringColumn,
    candidates: Mask | None,
    row_of_id: Mapping[str, int],
) -> Mask:
    for child in sorted(children, key=_cost):
        candidates = evaluate(child, columns, documents, candidates, row_of_id)
    return np.ones(columns.rows, dtype=np.bool_) if candidates is None else candidates.copy()


def _any_of(
    children: Sequence[Filter],
    columns: ColumnSet,
    documents: StringColumn,
    candidates: Mask | None,
    row_of_id: Mapping[str, int],
) -> Mask:
    mask = np.zeros(columns.rows, dtype=np.bool_)
    for child in sorted(children, key=_cost):
        undecided = candidates
        if _cost(child):
            undecided = ~mask if candidates is None else candidates & ~mask
        mask |= evaluate(child, columns, documents, undecided, row_of_id)
    return mask


def _cost(tree: Filter) -> int:
    """The cost rank of the most expensive condition: 0 metadata, 1 substring, 2 regular expression over documents."""
    ranks = (2 if isinstance(leaf, MatchesRegex) else int(isinstance(leaf, Contains)) for leaf in leaves(tree))
    return max(ranks, default=0)


def _rows_with_ids(columns: ColumnSet, ids: Sequence[str], row_of_id: Mapping[str, int]) -> Mask:
    mask = _no_rows(columns)
    mask[[row_of_id[name] for name in ids if name in row_of_id]] = True
    return mask


def _regex_matches(pattern: "Regex", documents: StringColumn, candidates: Mask | None) -> Mask:
    if pattern.is_literal:
        return documents.contains(pattern.literal, candidates)
    if pattern.prefilter is not None:
        candidates = _regex_matches(pattern.prefilter, documents, candidates)
    elif len(pattern.literal) >= MIN_PREFILTER_LENGTH:
        candidates = documents.contains(pattern.literal, candidates)
    return documents.matches(pattern, candidates)


def _matching_strings(columns: ColumnSet, key: str, pattern: "Regex") -> Mask:
    """Each distinct string is matched once."""
    column = columns.column(key, ColumnType.STR)
    if column is None or column.dictionary is None:
        return _no_rows(columns)
    codes, entries = np.unique(column.values, return_inverse=True)
    strings = StringColumn.from_list(column.dictionary.utf8_values(codes.astype(np.int64)))
    return _to_row_mask(columns, column, _regex_matches(pattern, strings, None)[entries])


def _compiled(pattern: str) -> "Regex":
    # Imported here: few filters need it, and it would slow down cold starts.
    from afterglow.filters import regex

    return regex.compile_regex(pattern)


def _compare(columns: ColumnSet, key: str, comparison: Comparison, value: Scalar) -> Mask:
    value_type = type_of(value)
    if isinstance(value, bool | str):
        column = columns.column(key, value_type)
        return _no_rows(columns) if column is None else _to_row_mask(columns, column, _equal(column, value))
    masks = [
        _to_row_mask(columns, column, numeric.compare(column.values, comparison, value))
        for column in columns.columns.get(key, ())
        if column.type in (ColumnType.INT, ColumnType.FLOAT)
    ]
    return reduce(np.logical_or, masks, _no_rows(columns)) if len(masks) != 1 else masks[0]


def _in(columns: ColumnSet, key: str, value_type: ColumnType, values: Sequence[Scalar]) -> Mask:
    mask = _no_rows(columns)
    for column in columns.columns.get(key, ()):
        if column.type is value_type is ColumnType.STR:
            mask |= _to_row_mask(columns, column, _one_of_strings(column, values))
        elif column.type is value_type is ColumnType.BOOL:
            mask |= _to_row_mask(columns, column, np.isin(column.values, values))
        elif {column.type, value_type} <= {ColumnType.INT, ColumnType.FLOAT}:
            mask |= _to_row_mask(columns, column, numeric.one_of(column.values, values))
    return mask


def _list_contains(columns: ColumnSet, key: str, value: Scalar) -> Mask:
    column = columns.column(key, LIST_TYPE[type_of(value)])
    if column is None or column.offsets is None:
        return _no_rows(columns)
    offsets = column.offsets.view(np.int64)
    items = _equal(column, value)
    hits = np.flatnonzero(items)
    if len(hits) > MAX_HITS_TO_LOOK_UP:
        return _to_row_mask(columns, column, np.logical_or.reduceat(items, offsets[:-1]))
    entries = np.searchsorted(offsets, hits, side="right") - 1
    mask = _no_rows(columns)
    mask[entries if column.row_ids is None else column.row_ids[entries]] = True
    return mask


def _equal(column: Column, value: Scalar) -> Mask:
    """Mask of the column's values that equal `value`, which is of the column's type."""
    if column.dictionary is None:
        return np.asarray(column.values == value)
    code = column.dictionary.code(str(value))
    return (
        np.zeros(len(column.values), dtype=np.bool_) if code is None else np.asarray(column.values == np.uint32(code))
    )


def _one_of_strings(column: Column, strings: Sequence[Scalar]) -> Mask:
    if column.dictionary is None:
        return np.zeros(len(column.values), dtype=np.bool_)
    codes = [column.dictionary.code(str(string)) for string in strings]
    is_match = np.zeros(len(column.dictionary), dtype=np.bool_)
    is_match[[code for code in codes if code is not None]] = True
    return np.asarray(is_match[column.values])


def _to_row_mask(columns: ColumnSet, column: Column, entries: Mask) -> Mask:
    """From a mask over the entries of a column to a mask over the rows."""
    if column.row_ids is None:
        return entries
    mask = _no_rows(columns)
    mask[column.row_ids] = entries
    return mask


def _no_rows(columns: ColumnSet) -> Mask:
    return np.zeros(columns.rows, dtype=np.bool_)
