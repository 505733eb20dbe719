"""Copies of rows that lie on the border of their list, in the lists on the other side (closures; SPANN).

A row is also an entry of up to three more lists, which are at most 1.2 times as far as its own. A list is left out if
its centroid is near that of another list with the row, because who probes one of them probably probes the other
(SPANN's rule, with half of the squared distance: in many dimensions near centroids are closer to each other than to
their rows).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.segment import distance
from afterglow.segment.distance import Vectors

_MAX_COPIES = 3
_COPY_CANDIDATES = 8
_APART = np.float32(0.5)
"""Two lists with one row are at least so far apart, squared, in relation to the farther one's distance to the row."""
_MAX_RATIO = np.float32(1.2**2)
"""Of squared distances."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The rows of one list with their points, the lists `near` it, and what sorts these for each row, (rows, near)."""

    rows: NDArray[np.int64]
    points: Vectors
    near: NDArray[np.int64]
    keys: Vectors


@dataclass(frozen=True, slots=True)
class Closure:
    """Possible copies: row, list, and the ratio of the row's squared distances to that list and to its own."""

    rows: NDArray[np.uint32]
    lists: NDArray[np.uint32]
    ratios: Vectors


NO_COPIES = Closure(np.empty(0, np.uint32), np.empty(0, np.uint32), np.empty(0, np.float32))


def possible_copies(choice: Choice, targets: Vectors) -> Closure:
    """The copies that are possible; `targets` are the centroids of ``choice.near``."""
    keys, count = choice.keys, min(_COPY_CANDIDATES, len(targets))
    nearest = np.argpartition(keys, count - 1, axis=1)[:, :count]
    nearest = np.take_along_axis(nearest, np.argsort(np.take_along_axis(keys, nearest, axis=1), axis=1), axis=1)
    distances = np.take_along_axis(keys, nearest, axis=1) + distance.squared_norms(choice.points)[:, np.newaxis]
    own = distances[:, :1]
    ratios = np.divide(distances, own, out=np.ones_like(distances), where=own > 0)
    is_near = ratios <= _MAX_RATIO
    candidates, places = np.unique(nearest, return_inverse=True)
    places = places.reshape(nearest.shape)
    norms = distance.squared_norms(targets[candidates])
    apart = distance.l2_sort_keys(targets[candidates], targets[candidates], norms) + norms[:, np.newaxis]
    is_member = np.zeros(ratios.shape, dtype=np.bool_)
    is_member[:, 0] = True
    members = np.ones(len(ratios), dtype=np.int64)
    for column in range(1, count):
        is_close = apart[places[:, column, np.newaxis], places[:, :column]] < _APART * distances[:, column : column + 1]
        is_member[:, column] = (
            is_near[:, column] & (members <= _MAX_COPIES) & ~(is_close & is_member[:, :column]).any(axis=1)
        )
        members += is_member[:, column]
    is_member[:, 0] = False
    positions, columns = np.nonzero(is_member)
    return Closure(
        rows=choice.rows[positions].astype(np.uint32),
        lists=choice.near[nearest[positions, columns]].astype(np.uint32),
        ratios=ratios[positions, columns],
    )


def nearest_copies(closures: list[Closure], limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and lists of the `limit` copies with the smallest ratios."""
    rows = np.concatenate([closure.rows for closure in closures])
    lists = np.concatenate([closure.lists for closure in closures])
    if limit < len(rows):
        smallest = np.argpartition(np.concatenate([closure.ratios for closure in closures]), limit)[:limit]
        rows, lists = rows[smallest], lists[smallest]
    return rows.astype(np.int64), lists.astype(np.int64)
