"""From filter, columns and texts to the rows that satisfy it.

Metadata conditions come first, being a pass over one lane; documents are searched last, and only in the rows whose
fate still hangs on them. Numbers are compared exactly: an int64 is never rounded to a float to be compared with one.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.column import LIST_OF, Columns, Kind, Lane
from afterglow.columns.string_column import Texts
from afterglow.filters import numeric
from afterglow.filters.ast import (
    Among,
    And,
    Compare,
    Comparison,
    Contains,
    Filter,
    HasItem,
    Matches,
    Named,
    Or,
    Scalar,
    kind_of,
    leaves,
)

if TYPE_CHECKING:
    from afterglow.filters.regex import Regex

Mask = NDArray[np.bool_]
NOBODY: Mapping[str, int] = {}
SCANNED_HITS = 2048
TELLING_LITERAL = 3


def evaluate(
    tree: Filter,
    columns: Columns,
    documents: Texts,
    candidates: Mask | None = None,
    rows_of: Mapping[str, int] = NOBODY,
) -> Mask:
    """Which rows satisfy the filter: bool_ per row, False outside `candidates` (None: every row is one).

    `columns` and `documents` have the same rows; `rows_of` has the row of every id that the filter names and that is
    here.
    """
    if isinstance(tree, And):
        return _all_of(tree.children, columns, documents, candidates, rows_of)
    if isinstance(tree, Or):
        return _any_of(tree.children, columns, documents, candidates, rows_of)
    if isinstance(tree, Named):
        found = _named(columns, tree.ids, rows_of)
    else:
        found = _plain(tree, columns, documents, candidates)
    if tree.negated:
        found = ~found
    return found if candidates is None else found & candidates


def _plain(
    leaf: Compare | Among | HasItem | Contains | Matches,
    columns: Columns,
    documents: Texts,
    candidates: Mask | None,
) -> Mask:
    """The rows of a condition, taken without its negation; right for the candidates."""
    match leaf:
        case Contains(text):
            return documents.contains(text.encode(), candidates)
        case Matches(pattern):
            from afterglow.filters import regex  # here, as few filters need it and a cold start counts

            return _matching(regex.compiled(pattern), documents, candidates)
        case Compare(key, comparison, value):
            return _comparing(columns, key, Comparison.EQ if leaf.negated else comparison, value)
        case Among(key, kind, values):
            return _among(columns, key, kind, values)
        case HasItem(key, value):
            return _having_item(columns, key, value)


def _all_of(
    children: Sequence[Filter],
    columns: Columns,
    documents: Texts,
    candidates: Mask | None,
    rows_of: Mapping[str, int],
) -> Mask:
    for child in sorted(children, key=_cost):
        candidates = evaluate(child, columns, documents, candidates, rows_of)
    return np.ones(columns.rows, dtype=np.bool_) if candidates is None else candidates.copy()


def _any_of(
    children: Sequence[Filter],
    columns: Columns,
    documents: Texts,
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
    ranks = (2 if isinstance(leaf, Matches) else int(isinstance(leaf, Contains)) for leaf in leaves(tree))
    return max(ranks, default=0)


def _named(columns: Columns, ids: Sequence[str], rows_of: Mapping[str, int]) -> Mask:
    found = _nothing(columns)
    found[[rows_of[each] for each in ids if each in rows_of]] = True
    return found


def _matching(pattern: "Regex", documents: Texts, candidates: Mask | None) -> Mask:
    if pattern.is_literal:
        return documents.contains(pattern.literal, candidates)
    if pattern.loose is not None:
        candidates = _matching(pattern.loose, documents, candidates)
    elif len(pattern.literal) >= TELLING_LITERAL:
        candidates = documents.contains(pattern.literal, candidates)
    return documents.matches(pattern, candidates)


def _comparing(columns: Columns, key: str, comparison: Comparison, value: Scalar) -> Mask:
    kind = kind_of(value)
    if isinstance(value, bool | str):
        lane = columns.lane(key, kind)
        return _nothing(columns) if lane is None else _spread(columns, lane, _equal(lane, value))
    found = [
        _spread(columns, lane, numeric.compare(lane.values, comparison, value))
        for lane in map(columns.lane, (key, key), (Kind.INT, Kind.FLOAT))
        if lane is not None
    ]
    return reduce(np.logical_or, found, _nothing(columns)) if len(found) != 1 else found[0]


def _among(columns: Columns, key: str, kind: Kind, values: Sequence[Scalar]) -> Mask:
    found = _nothing(columns)
    for lane in columns.lanes.get(key, ()):
        if lane.kind is kind is Kind.STR:
            found |= _spread(columns, lane, _one_of_strings(lane, values))
        elif lane.kind is kind is Kind.BOOL:
            found |= _spread(columns, lane, np.isin(lane.values, values))
        elif {lane.kind, kind} <= {Kind.INT, Kind.FLOAT}:
            found |= _spread(columns, lane, numeric.one_of(lane.values, values))
    return found


def _having_item(columns: Columns, key: str, value: Scalar) -> Mask:
    lane = columns.lane(key, LIST_OF[kind_of(value)])
    if lane is None or lane.offsets is None:
        return _nothing(columns)
    offsets = lane.offsets.view(np.int64)
    items = _equal(lane, value)
    hits = np.flatnonzero(items)
    if len(hits) > SCANNED_HITS:
        return _spread(columns, lane, np.logical_or.reduceat(items, offsets[:-1]))
    entries = np.searchsorted(offsets, hits, side="right") - 1
    found = _nothing(columns)
    found[entries if lane.rows is None else lane.rows[entries]] = True
    return found


def _equal(lane: Lane, value: Scalar) -> Mask:
    """Which values of a lane are this one, of the lane's kind."""
    if lane.vocabulary is None:
        return np.asarray(lane.values == value)
    code = lane.vocabulary.code(str(value))
    return np.zeros(len(lane.values), dtype=np.bool_) if code is None else np.asarray(lane.values == np.uint32(code))


def _one_of_strings(lane: Lane, texts: Sequence[Scalar]) -> Mask:
    if lane.vocabulary is None:
        return np.zeros(len(lane.values), dtype=np.bool_)
    codes = [lane.vocabulary.code(str(text)) for text in texts]
    wanted = np.zeros(len(lane.vocabulary), dtype=np.bool_)
    wanted[[code for code in codes if code is not None]] = True
    return np.asarray(wanted[lane.values])


def _spread(columns: Columns, lane: Lane, entries: Mask) -> Mask:
    """From a mask over the entries of a lane to one over the rows."""
    if lane.rows is None:
        return entries
    found = _nothing(columns)
    found[lane.rows] = entries
    return found


def _nothing(columns: Columns) -> Mask:
    return np.zeros(columns.rows, dtype=np.bool_)
