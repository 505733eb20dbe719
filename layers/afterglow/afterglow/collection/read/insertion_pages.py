"""Rows in insertion order, one page of them: of a clustered segment only the part is read that the page may need.

1. Few rows of a segment: their insertion sequence numbers are read alone. Many, but far from all: those of all rows.
2. All rows of a segment, or all but a few: its order is stored (`segment.places`). Of every 256th row the number is
   known, of the few left out it is read. So for each of these numbers the rank among all rows is known to within 256
   rows of every segment; the two that are certain to enclose the page are chosen.
3. The stored order between the two is read, of all segments in one round; ranks are exact now. Merge and cut.

Most row groups of the other kind have their rows in insertion order already: of these the page is cut out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.segment import likely_places, rounds
from afterglow.segment.list_index import ListIndex, read_roots
from afterglow.segment.places import SAMPLE_STEP
from afterglow.segment.reader import Mask
from afterglow.segment.rounds import Request

Rows = NDArray[np.int64]

_FEW_ROWS = 1_000
_MAX_LEFT_OUT = 4_096
_MIN_SHARE = 16
"""Rows left out are few if there are at most 4,096 of them, and less than 1/16 of all."""
_FIRST, _LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_NONE: Rows = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Listed:
    """Rows of a group, and their insertion sequence numbers; whether these are known to be ascending."""

    group: int
    rows: Rows
    row_seqs: Rows
    is_ascending: bool = False


@dataclass(frozen=True, slots=True)
class _Stored:
    """All rows of a group but a few, whose insertion sequence numbers are `left_out`, ascending."""

    group: int
    index: ListIndex
    samples: Rows
    left_out: Rows

    def ranks(self, row_seqs: Rows) -> tuple[Rows, Rows]:
        """At least and at most how many of the rows come before each of these numbers."""
        before = np.searchsorted(self.samples, row_seqs, side="left")
        most = np.minimum(before * SAMPLE_STEP, self.index.rows)
        least = np.maximum((before - 1) * SAMPLE_STEP + 1, 0)
        is_sample = self.samples[np.minimum(before, len(self.samples) - 1)] == row_seqs
        left_out = np.searchsorted(self.left_out, row_seqs, side="left")
        return np.where(is_sample, most, least) - left_out, most - left_out

    def span(self, first: int, last: int) -> tuple[int, int]:
        """The positions that may have numbers from `first` to before `last`."""
        start = max(int(np.searchsorted(self.samples, first, side="right")) - 1, 0) * SAMPLE_STEP
        stop = min(int(np.searchsorted(self.samples, last, side="left")) * SAMPLE_STEP, self.index.rows)
        return start, max(start, stop)


def page(
    groups: Sequence[RowGroupView], masks: Sequence[Mask | None], offset: int, limit: int | None
) -> tuple[Rows, Rows]:
    """Group index and row, int64 (n,) each, of the rows in the masks (None: all), by insertion order."""
    listed, stored = _sources(groups, masks, None if limit is None else (offset, offset + limit))
    skipped = 0
    if stored and limit is not None:
        first, last = _enclosing(listed, stored, offset, offset + limit)
        skipped = sum(int(np.count_nonzero(part.row_seqs < first)) for part in listed)
        listed = [_between(part, first, last) for part in listed]
        for source, before, part in _windows(stored, first, last):
            skipped += before - int(np.searchsorted(source.left_out, first, side="left"))
            listed.append(part)
    if not listed:
        return _NONE, _NONE
    start = offset - skipped
    if len(listed) == 1 and listed[0].is_ascending:
        rows = listed[0].rows[start : None if limit is None else start + limit]
        return np.full(len(rows), listed[0].group), rows
    row_seqs = np.concatenate([part.row_seqs for part in listed])
    numbers = np.repeat([part.group for part in listed], [len(part.rows) for part in listed])
    end = len(row_seqs) if limit is None else min(start + limit, len(row_seqs))
    if end < len(row_seqs):
        nearest = np.argpartition(row_seqs, end)[:end]
        order = nearest[np.argsort(row_seqs[nearest])][start:]
    else:
        order = np.argsort(row_seqs)[start:end]
    return numbers[order], np.concatenate([part.rows for part in listed])[order]


def _sources(
    groups: Sequence[RowGroupView], masks: Sequence[Mask | None], ranks: tuple[int, int] | None
) -> tuple[list[_Listed], list[_Stored]]:
    """The rows of every group, listed or as they are stored; the latter only for a page of rows of these `ranks`."""
    listed: list[_Listed] = []
    few: list[tuple[int, ListIndex, Rows]] = []
    most: list[tuple[int, ListIndex, Rows]] = []
    for number, (group, mask) in enumerate(zip(groups, masks, strict=True)):
        count = group.rows.rows
        matching = count if mask is None else int(np.count_nonzero(mask))
        if not matching:
            continue
        if group.lists is not None and group.lists.reader.contents is not None:
            if matching <= _FEW_ROWS:
                few.append((number, group.lists, np.arange(count) if mask is None else np.flatnonzero(mask)))
                continue
            if ranks is not None and count - matching <= min(_MAX_LEFT_OUT, count // _MIN_SHARE):
                most.append((number, group.lists, _NONE if mask is None else np.flatnonzero(~mask)))
                continue
        listed.append(_list(number, group.rows.row_seqs, mask, count if ranks is None else ranks[1]))
    if not few and not most:
        return listed, []
    indexes = [index for _, index, _ in (*few, *most)]
    objects = indexes[0].objects
    read_roots(indexes, search=False, rows=True, extra=lambda: _likely_places(groups, masks, ranks))
    row_seqs = rounds.run_together(objects, [index.row_seqs(rows) for _, index, rows in (*few, *most)])
    listed += [_Listed(number, rows, seqs) for (number, _, rows), seqs in zip(few, row_seqs[: len(few)], strict=True)]
    stored = [
        _Stored(number, index, index.reader.order_samples, np.sort(seqs))
        for (number, index, _), seqs in zip(most, row_seqs[len(few) :], strict=True)
    ]
    return listed, stored


def _list(group: int, row_seqs: Rows, mask: Mask | None, most: int) -> _Listed:
    """The rows inside the mask; if they are in insertion order already, the first `most` of them."""
    rows = None if mask is None else np.flatnonzero(mask)
    seqs = row_seqs if rows is None else row_seqs[rows]
    is_ascending = bool((seqs[1:] > seqs[:-1]).all())
    count = min(most, len(seqs)) if is_ascending else len(seqs)
    return _Listed(group, np.arange(count) if rows is None else rows[:count], seqs[:count], is_ascending)


def _likely_places(
    groups: Sequence[RowGroupView], masks: Sequence[Mask | None], ranks: tuple[int, int] | None
) -> list[Request]:
    """The stored order of the page, if every row group follows the one before it in insertion order."""
    requests: list[Request] = []
    first, (start, stop) = 0, ranks or (0, 0)
    for group, mask in zip(groups, masks, strict=True):
        count = group.rows.rows
        low, high = max(start - first, 0), min(stop - first, count)
        if low < high and mask is None and group.lists is not None and group.lists.reader.contents is not None:
            requests += likely_places.of_positions(group.lists.reader.places_file, count, low, high)
        first += count if mask is None else int(np.count_nonzero(mask))
    return requests


def _enclosing(listed: Sequence[_Listed], stored: Sequence[_Stored], start: int, stop: int) -> tuple[int, int]:
    """Insertion sequence numbers around a page: of the rows of ranks `start` … `stop` − 1, none is before or after."""
    candidates = np.unique(np.concatenate([source.samples for source in stored]))
    least, most = np.zeros(len(candidates), dtype=np.int64), np.zeros(len(candidates), dtype=np.int64)
    for part in listed:
        exact = np.searchsorted(np.sort(part.row_seqs), candidates, side="left")
        least, most = least + exact, most + exact
    for source in stored:
        at_least, at_most = source.ranks(candidates)
        least, most = least + at_least, most + at_most
    before, after = np.flatnonzero(most <= start), np.flatnonzero(least >= stop)
    first = int(candidates[before[-1]]) if len(before) else _FIRST
    return first, int(candidates[after[0]]) if len(after) else _LAST


def _between(part: _Listed, first: int, last: int) -> _Listed:
    inside = (part.row_seqs >= first) & (part.row_seqs < last)
    return _Listed(part.group, part.rows[inside], part.row_seqs[inside])


def _windows(stored: Sequence[_Stored], first: int, last: int) -> list[tuple[_Stored, int, _Listed]]:
    """For each segment the position of its first number from `first` on, and its rows from there to before `last`."""
    spans = [source.span(first, last) for source in stored]
    readers = [
        source.index.reader.read_order(np.array([start]), np.array([stop]))
        for source, (start, stop) in zip(stored, spans, strict=True)
    ]
    result = []
    for source, (start, _), found in zip(
        stored, spans, rounds.run_together(stored[0].index.objects, readers), strict=True
    ):
        row_seqs = found["row_seq"].astype(np.int64)
        before = int(np.searchsorted(row_seqs, first, side="left"))
        inside = (row_seqs >= first) & (row_seqs < last) & ~np.isin(row_seqs, source.left_out)
        rows = found["row"].astype(np.int64)[inside]
        result.append((source, start + before, _Listed(source.group, rows, row_seqs[inside])))
    return result
