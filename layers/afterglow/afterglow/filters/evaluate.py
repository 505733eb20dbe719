"""From filter, columns and texts to the rows that satisfy it.

Metadata conditions come first, being a pass over one lane; documents are searched last, and only in the rows whose
fate still hangs on them. Numbers are compared exactly: an int64 is never rounded to a float to be compared with one.
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
    leaves,
    type_of,
)

if TYPE_CHECKING:
    from afterglow.filters.regex import Regex

Mask = NDArray[np.bool_]
NO_IDS: Mapping[str, int] = {}
MAX_HITS_TO_LOOK_UP = 2048
MIN_PREFILTER_LENGTH = 3


def evaluate(
    tree: Filter,
    columns: ColumnSet,
    documents: StringColumn,
    candidates: Mask | None = None,
    row_of_id: Mapping[str, int] = NO_IDS,
) -> Mask:
    """Which rows satisfy the filter: bool_ per row, False outside `candidates` (None: every row is one).

    `columns` and `documents` have the same rows; `rows_of` has the row of every id that the filter names and that is
    here.
    """
    if isinstance(tree, And):
        return _all_of(tree.children, columns, documents, candidates, row_of_id)
    if isinstance(tree, Or):
        return _any_of(tree.children, columns, documents, candidates, row_of_id)
    if isinstance(tree, IdIn):
        found = _rows_with_ids(columns, tree.ids, row_of_id)
    else:
        found = _evaluate_leaf(tree, columns, documents, candidates)
    if tree.negated:
        found = ~found
    return found if candidates is None else found & candidates


def _evaluate_leaf(
    leaf: Compare | In | ListContains | Contains | MatchesRegex,
    columns: ColumnSet,
    documents: StringColumn,
    candidates: Mask | None,
) -> Mask:
    """The rows of a condition, taken without its negation; right for the candidates."""
    match leaf:
        case Contains(text):
            return documents.contains(text.encode(), candidates)
        case MatchesRegex(pattern):
            from afterglow.filters import regex  # here, as few filters need it and a cold start counts

            return _regex_matches(regex.compile_regex(pattern), documents, candidates)
        case Compare(key, comparison, value):
            return _compare(columns, key, Comparison.EQ if leaf.negated else comparison, value)
        case In(key, kind, values):
            return _in(columns, key, kind, values)
        case ListContains(key, value):
            return _list_contains(columns, key, value)


def _all_of(
    children: Sequence[Filter],
    columns: ColumnSet,
    documents: StringColumn,
    candidates: Mask | None,
    rows_of: Mapping[str, int],
) -> Mask:
    for child in sorted(children, key=_cost):
        candidates = evaluate(child, columns, documents, candidates, rows_of)
    return np.ones(columns.rows, dtype=np.bool_) if candidates is None else candidates.copy()


def _any_of(
    children: Sequence[Filter],
    columns: ColumnSet,
    documents: StringColumn,
    candidates: Mask | None,
    rows_of: Mapping[str, int],
) -> Mask:
    found = np.zeros(columns.rows, dtype=np.bool_)
    for child in sorted(children, key=_cost):
        undecided = candidates
        if _cost(child):
            undecided = ~found if candidates is None else candidates & ~found
        found |= evaluate(child, columns, documents, undecided, rows_of)
    return found


def _cost(tree: Filter) -> int:
    """The rank of the dearest condition: metadata, substring, regular expression."""
    ranks = (2 if isinstance(leaf, MatchesRegex) else int(isinstance(leaf, Contains)) for leaf in leaves(tree))
    return max(ranks, default=0)


def _rows_with_ids(columns: ColumnSet, ids: Sequence[str], rows_of: Mapping[str, int]) -> Mask:
    found = _no_rows(columns)
    found[[rows_of[each] for each in ids if each in rows_of]] = True
    return found


def _regex_matches(pattern: "Regex", documents: StringColumn, candidates: Mask | None) -> Mask:
    if pattern.is_literal:
        return documents.contains(pattern.literal, candidates)
    if pattern.prefilter is not None:
        candidates = _regex_matches(pattern.prefilter, documents, candidates)
    elif len(pattern.literal) >= MIN_PREFILTER_LENGTH:
        candidates = documents.contains(pattern.literal, candidates)
    return documents.matches(pattern, candidates)


def _compare(columns: ColumnSet, key: str, comparison: Comparison, value: Scalar) -> Mask:
    kind = type_of(value)
    if isinstance(value, bool | str):
        lane = columns.column(key, kind)
        return _no_rows(columns) if lane is None else _to_row_mask(columns, lane, _equal(lane, value))
    found = [
        _to_row_mask(columns, lane, numeric.compare(lane.values, comparison, value))
        for lane in map(columns.column, (key, key), (ColumnType.INT, ColumnType.FLOAT))
        if lane is not None
    ]
    return reduce(np.logical_or, found, _no_rows(columns)) if len(found) != 1 else found[0]


def _in(columns: ColumnSet, key: str, kind: ColumnType, values: Sequence[Scalar]) -> Mask:
    found = _no_rows(columns)
    for lane in columns.columns.get(key, ()):
        if lane.type is kind is ColumnType.STR:
            found |= _to_row_mask(columns, lane, _one_of_strings(lane, values))
        elif lane.type is kind is ColumnType.BOOL:
            found |= _to_row_mask(columns, lane, np.isin(lane.values, values))
        elif {lane.type, kind} <= {ColumnType.INT, ColumnType.FLOAT}:
            found |= _to_row_mask(columns, lane, numeric.one_of(lane.values, values))
    return found


def _list_contains(columns: ColumnSet, key: str, value: Scalar) -> Mask:
    lane = columns.column(key, LIST_TYPE[type_of(value)])
    if lane is None or lane.offsets is None:
        return _no_rows(columns)
    offsets = lane.offsets.view(np.int64)
    items = _equal(lane, value)
    hits = np.flatnonzero(items)
    if len(hits) > MAX_HITS_TO_LOOK_UP:
        return _to_row_mask(columns, lane, np.logical_or.reduceat(items, offsets[:-1]))
    entries = np.searchsorted(offsets, hits, side="right") - 1
    found = _no_rows(columns)
    found[entries if lane.row_ids is None else lane.row_ids[entries]] = True
    return found


def _equal(lane: Column, value: Scalar) -> Mask:
    """Which values of a lane are this one, of the lane's kind."""
    if lane.dictionary is None:
        return np.asarray(lane.values == value)
    code = lane.dictionary.code(str(value))
    return np.zeros(len(lane.values), dtype=np.bool_) if code is None else np.asarray(lane.values == np.uint32(code))


def _one_of_strings(lane: Column, texts: Sequence[Scalar]) -> Mask:
    if lane.dictionary is None:
        return np.zeros(len(lane.values), dtype=np.bool_)
    codes = [lane.dictionary.code(str(text)) for text in texts]
    wanted = np.zeros(len(lane.dictionary), dtype=np.bool_)
    wanted[[code for code in codes if code is not None]] = True
    return np.asarray(wanted[lane.values])


def _to_row_mask(columns: ColumnSet, lane: Column, entries: Mask) -> Mask:
    """From a mask over the entries of a lane to one over the rows."""
    if lane.row_ids is None:
        return entries
    found = _no_rows(columns)
    found[lane.row_ids] = entries
    return found


def _no_rows(columns: ColumnSet) -> Mask:
    return np.zeros(columns.rows, dtype=np.bool_)
