"""Clusters the rows of a new segment into lists: an inverted file index (IVF; Jégou et al. 2011) with closures (SPANN).

1. **Split**: hierarchical k-means divides the rows into cells, and these into lists of about `rows_per_list` rows
   (Chen et al. 2021, SPANN). Lists are numbered along a tour, so that near lists lie next to each other in the file.
2. **Refine**, a few times: each row moves to the nearest of the lists around its own; the centroid of a list becomes
   the mean of its rows.
3. **Assign**: the same once more with the centroids fixed, and **copy**: a row on the border of its list is also an
   entry of lists on the other side (`segment.closures`). Copies are limited to 0.35 for each row; those with the
   smallest ratio of distances come first.

A list of more than four times the usual rows (copies of one point) is divided, so that reading a list is bounded.

The rows are read through a function, some at a time: memory holds about 24 bytes a row, the centroids, and one chunk.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.arrays import slice_indices
from afterglow.segment import distance, kmeans, progress
from afterglow.segment.closures import NO_COPIES, Choice, nearest_copies, possible_copies
from afterglow.segment.distance import Vectors
from afterglow.segment.insertion_order import nearest_neighbor_tour
from afterglow.segment.precision import golden_sample
from afterglow.segment.progress import OnShare
from afterglow.segment.projection import Projection

Rows = NDArray[np.int64]
ReadRows = Callable[[Rows], Vectors]
"""Reads projected rows, float32 (n, width)."""

_MAX_BRANCHES = 256
"""The largest number of lists that one k-means makes; more are made in two steps."""
_MAX_DEPTH = 4
_POINTS_PER_CENTROID = 128
_NEIGHBORS = 256
"""The lists around a list among which its rows choose."""
_READ_ROWS = 4_096
_REFINEMENTS = 2
_PASSES = 1 + _REFINEMENTS + 1
"""Passes over the rows: the steps above take about the same time for each of them."""
_COPIES_PER_ROW = 0.35
_MAX_LIST = 4
_USUAL_WIDTH, _MAX_ROWS, _MOST_MORE = 384, 1_024, 3.0


@dataclass(frozen=True, slots=True)
class Clustering:
    """Lists of rows. `centroids` float32 (lists, width).

    `order` int64 (n,): the rows, list by list; list l is ``order[starts[l]:starts[l + 1]]``, in ascending order. The
    copies ``copies[copy_starts[l]:copy_starts[l + 1]]`` are positions in `order` of rows of other lists.
    """

    projection: Projection
    centroids: Vectors
    order: Rows
    starts: Rows
    copies: Rows
    copy_starts: Rows


def rows_per_list(rows: int, width: int) -> int:
    """The rows of a list with which a query reads few bytes in few requests: √(rows / 25), at least 48.

    The square root balances the bytes of centroids and lists, where a query reads so many lists of any size. But fewer
    of larger lists hold the neighbours: with 200 rows instead of 100 a cold query over a million read 8.7 MB instead of
    11.9, and under a filter of 40 % 116 requests instead of 185; with 300 rows 9.7 MB.

    Of few dimensions a list has more: each request is worth some bytes, however small they are. Over a million rows of
    96 a query read 6.4 MB in 108 requests with 200 rows, 6.3 in 73 with 400, and 8.8 in 77 with 600.
    """
    more = min(max(_USUAL_WIDTH / width, 1.0) ** 0.5, _MOST_MORE)
    return int(max(min((rows / 25) ** 0.5, _MAX_ROWS) * more, 48))


def cluster(
    read: ReadRows, count: int, projection: Projection, chunk_rows: int, on_share: OnShare = progress.ignore
) -> Clustering | None:
    """Cluster rows 0 … count − 1, reading at most about `chunk_rows` at a time; None where a row is not finite."""
    size = rows_per_list(count, projection.width)
    passes = [progress.part(on_share, number / _PASSES, (number + 1) / _PASSES) for number in range(_PASSES)]
    with np.errstate(over="ignore", invalid="ignore"):
        split = _Split(read, size, chunk_rows)
        groups = list(progress.counted(split.split(np.arange(count), 0), count, passes[0]))
        if not split.is_finite:
            return None
        centroids = np.concatenate([group.centroid[np.newaxis] for group in groups])
        list_of_row = _list_numbers([group.rows for group in groups], count)
        for on_pass in passes[1:-1]:
            list_of_row, centroids = _move(read, list_of_row, centroids, on_pass)
        list_of_row, centroids, copies = _assign(read, list_of_row, centroids, passes[-1])
    return _arrange(projection, centroids, list_of_row, copies, _MAX_LIST * size)


@dataclass(frozen=True, slots=True)
class _Group:
    centroid: Vectors
    rows: Rows


class _Split:
    """Hierarchical k-means; `is_finite`: no row read so far has an infinite norm."""

    def __init__(self, read: ReadRows, size: int, chunk_rows: int) -> None:
        self._read = read
        self._size = size
        self._chunk_rows = chunk_rows
        self.is_finite = True

    def split(self, rows: Rows, depth: int) -> Iterator[_Group]:
        """Groups of about `size` of these rows, near ones next to each other."""
        count = max(round(len(rows) / self._size), 1)
        is_last = count <= _MAX_BRANCHES or depth == _MAX_DEPTH
        branches = min(count, _MAX_BRANCHES) if is_last else round(count**0.5)
        sample = rows[golden_sample(len(rows), min(_POINTS_PER_CENTROID * branches, self._chunk_rows))]
        points = self._read(sample)
        if not np.isfinite(distance.squared_norms(points)).all():
            self.is_finite = False
            return
        centroids = kmeans.train(points, branches)
        nearest = np.concatenate(
            [
                kmeans.assign(self._checked(chunk), centroids)[0]
                for chunk in np.split(rows, range(self._chunk_rows, len(rows), self._chunk_rows))
            ]
        )
        norms = distance.squared_norms(centroids)
        tour = np.argsort(nearest_neighbor_tour(distance.l2_sort_keys(centroids, centroids, norms)))
        for number in tour.tolist():
            members = rows[nearest == number]
            if not len(members):
                continue
            if is_last:
                yield _Group(centroids[number], members)
            else:
                yield from self.split(members, depth + 1)

    def _checked(self, rows: Rows) -> Vectors:
        points = self._read(rows)
        self.is_finite = self.is_finite and bool(np.isfinite(distance.squared_norms(points)).all())
        return points


def _list_numbers(groups: list[Rows], count: int) -> NDArray[np.int32]:
    numbers = np.empty(count, dtype=np.int32)
    for number, rows in enumerate(groups):
        numbers[rows] = number
    return numbers


def _members(list_of_row: NDArray[np.int32], lists: int) -> tuple[Rows, Rows]:
    """The rows by list, and the start of each list in them."""
    order = np.argsort(list_of_row, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(list_of_row, minlength=lists))])
    return order, starts


def _move(
    read: ReadRows, list_of_row: NDArray[np.int32], centroids: Vectors, on_share: OnShare
) -> tuple[NDArray[np.int32], Vectors]:
    """Move each row to the nearest of the lists around its own; the centroids become the means of their rows."""
    nearest = np.empty_like(list_of_row)
    sums = np.zeros(centroids.shape, dtype=np.float64)
    for chosen in progress.counted(_choices(read, list_of_row, centroids), len(nearest), on_share):
        numbers = chosen.near[np.argmin(chosen.keys, axis=1)]
        nearest[chosen.rows] = numbers
        order = np.argsort(numbers, kind="stable")
        lists, firsts = np.unique(numbers[order], return_index=True)
        sums[lists] += np.add.reduceat(chosen.points[order], firsts, axis=0)
    sizes = np.bincount(nearest, minlength=len(centroids))
    used = np.flatnonzero(sizes)
    return _renumbered(used, len(centroids))[nearest], (sums[used] / sizes[used, np.newaxis]).astype(np.float32)


def _assign(
    read: ReadRows, list_of_row: NDArray[np.int32], centroids: Vectors, on_share: OnShare
) -> tuple[NDArray[np.int32], Vectors, tuple[Rows, Rows]]:
    """The nearest of the lists around each row's own; the centroids with rows; the copies: rows and lists."""
    nearest = np.empty_like(list_of_row)
    closures = [NO_COPIES]
    for chosen in progress.counted(_choices(read, list_of_row, centroids), len(nearest), on_share):
        nearest[chosen.rows] = chosen.near[np.argmin(chosen.keys, axis=1)]
        closures.append(possible_copies(chosen, centroids[chosen.near]))
    used = np.flatnonzero(np.bincount(nearest, minlength=len(centroids)))
    new_number = _renumbered(used, len(centroids))
    rows, lists = nearest_copies(closures, int(_COPIES_PER_ROW * len(nearest)))
    lists = new_number[lists].astype(np.int64)
    return new_number[nearest], centroids[used], (rows[lists >= 0], lists[lists >= 0])


def _renumbered(used: Rows, count: int) -> NDArray[np.int32]:
    """The new numbers of lists of which those in `used` stay; −1 for the others."""
    result = np.full(count, -1, dtype=np.int32)
    result[used] = np.arange(len(used))
    return result


def _choices(read: ReadRows, list_of_row: NDArray[np.int32], centroids: Vectors) -> Iterator[Choice]:
    """The choice of the rows of each list. Consecutive lists are read together."""
    order, starts = _members(list_of_row, len(centroids))
    norms, around = distance.squared_norms(centroids), _around(centroids)
    ends = starts[1:]
    first = 0
    while first < len(centroids):
        # At least one list, and as many as fit.
        last = max(int(np.searchsorted(ends, starts[first] + _READ_ROWS, side="right")), first + 1)
        offset = int(starts[first])
        points = read(order[offset : ends[last - 1]])
        for number in range(first, last):
            part = slice(int(starts[number]) - offset, int(ends[number]) - offset)
            near = around[number]
            keys = distance.l2_sort_keys(points[part], centroids[near], norms[near])
            yield Choice(order[starts[number] : ends[number]], points[part], near, keys)
        first = last


def _around(centroids: Vectors) -> Rows:
    """The lists around each list, itself included, (lists, ≤ 256)."""
    count = min(_NEIGHBORS, len(centroids))
    norms = distance.squared_norms(centroids)
    result = np.empty((len(centroids), count), dtype=np.int64)
    for start in range(0, len(centroids), 256):
        keys = distance.l2_sort_keys(centroids[start : start + 256], centroids, norms)
        result[start : start + 256] = np.argpartition(keys, count - 1, axis=1)[:, :count]
    return result


def _arrange(
    projection: Projection,
    centroids: Vectors,
    list_of_row: NDArray[np.int32],
    copies: tuple[Rows, Rows],
    max_rows: int,
) -> Clustering:
    order, starts = _members(list_of_row, len(centroids))
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    rows, lists = copies
    by_list = np.lexsort((position[rows], lists))
    copy_counts = np.bincount(lists, minlength=len(centroids))
    # Divided lists share a centroid; the copies stay with the first part.
    parts = np.maximum(-(-np.diff(starts) // max_rows), 1)
    first_part = np.concatenate([[0], np.cumsum(parts)])[:-1]
    part_numbers = slice_indices(np.zeros(len(parts), dtype=np.int64), parts)[0]
    lengths = np.diff(starts)
    part_starts = np.repeat(starts[:-1], parts) + part_numbers * np.repeat(lengths, parts) // np.repeat(parts, parts)
    counts = np.zeros(len(part_starts), dtype=np.int64)
    counts[first_part] = copy_counts
    return Clustering(
        projection=projection,
        centroids=np.repeat(centroids, parts, axis=0),
        order=order,
        starts=np.append(part_starts, len(order)),
        copies=position[rows[by_list]],
        copy_starts=np.concatenate([[0], np.cumsum(counts)]),
    )
