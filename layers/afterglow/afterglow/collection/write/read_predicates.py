"""The predicates that a transaction has read with, compared with the records written since.

A read by filter depends on the records that match it; a read of the k nearest on those that match its filter and are
not farther than the k-th, or than the caller asked for: a **neighborhood**. Of the records written since, none may be
in the predicate in the snapshot, nor be in it now. Then the read would find the same again (precision locks: Jordan,
Banerjee and Batman 1981).

The distances are exact, whatever index the read has used, and records at the limit, or within rounding of it, count as
inside: a conflict too many is possible there, one too few is not.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from afterglow.catalog import schema
from afterglow.collection.read import read_path, work
from afterglow.collection.read import rows as fetch
from afterglow.collection.read.work import Work
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Include, Records, Selection
from afterglow.errors import StaleRead, WrongDimension
from afterglow.filters import ast
from afterglow.segment import distance
from afterglow.segment.distance import Space, Vectors

_NO_FIELDS: frozenset[Include] = frozenset()
_VECTORS = frozenset({Include.EMBEDDINGS})
_CHUNK_BYTES = 32 * 1024 * 1024
"""Vectors that are compared at a time."""
_ROUNDING = 1e-6
"""How much the float32 distance of a response may differ from the exact one, relative to it or to 1."""
_TERM_ROUNDING = 1e-12
"""The same for the terms of a squared distance in float64, relative to the squared norms."""
_COMPARISON_SECONDS = 10 * work.PRODUCT_SECONDS
"""One component of a distance in float64, with reading it."""


@dataclass(frozen=True, slots=True)
class Neighborhood:
    """The selected records whose distance from `vector`, float32 (d,), is at most `within`; None: all selected ones."""

    selection: Selection
    vector: Vectors
    within: float | None = None


def limit_of(distances: Vectors, k: int, asked: float | None = None) -> float | None:
    """The distance up to which a write may change a result of at most k nearest, None for any; `asked` if it is less.

    `distances` are those of the result, float32 (n,), ascending.
    """
    limits = [] if asked is None else [asked]
    if 0 < len(distances) == k and np.isfinite(distances[-1]):
        limits.append(float(distances[-1]))
    return min(limits, default=None)


@dataclass(frozen=True, slots=True)
class Predicates:
    """What a transaction has read with: filters, and neighborhoods."""

    filters: Sequence[Selection] = ()
    neighborhoods: Sequence[Neighborhood] = ()

    def concerned(self, written: Set[str]) -> list[str]:
        """Those of the written ids that may be in one of the predicates, sorted."""
        selections = [*self.filters, *(one.selection for one in self.neighborhoods)]
        chosen = [selection.ids for selection in selections if selection.ids is not None]
        return sorted(written if len(chosen) < len(selections) else written & frozenset(chain.from_iterable(chosen)))

    def __bool__(self) -> bool:
        return bool(self.filters or self.neighborhoods)


def check_dimension(snapshot: Snapshot, predicates: Predicates) -> None:
    """Raises WrongDimension if a vector has not that of the collection."""
    dimension = snapshot.collection.dimension
    for neighborhood in predicates.neighborhoods:
        if dimension is not None and len(neighborhood.vector) != dimension:
            raise WrongDimension(dimension, len(neighborhood.vector))


def are_met(snapshot: Snapshot, predicates: Predicates, written: Sequence[str], max_seconds: float) -> bool:
    """Whether one of the written records is in one of the predicates; the snapshot was taken with `written`.

    Raises InvalidArgument for a filter over what the schema does not index, LimitExceeded, and StaleRead if there are
    too many to compare their vectors.
    """
    for selection in predicates.filters:
        if any(_matching(snapshot, selection, written, _NO_FIELDS, max_seconds)):
            return True
    space = Space(schema.index_parameters(snapshot.collection.schema).space)
    components = 0
    for neighborhood in predicates.neighborhoods:
        for records in _matching(snapshot, neighborhood.selection, written, _VECTORS, max_seconds):
            vectors = records.embeddings
            assert vectors is not None, "they were asked for"
            components += vectors.size
            if components * _COMPARISON_SECONDS > max_seconds:
                raise StaleRead("too many records were written since the reads of this transaction to compare them")
            if _is_any_inside(space, neighborhood, vectors):
                return True
    return False


def _is_any_inside(space: Space, neighborhood: Neighborhood, vectors: Vectors) -> bool:
    within = neighborhood.within
    if within is None:
        return True
    vector = neighborhood.vector
    with np.errstate(over="ignore", invalid="ignore"):
        distances = distance.pairwise_distances(space, vector[np.newaxis], vectors)[0]
        rounding = _ROUNDING * max(1.0, abs(within))
        if space is Space.L2:
            norms = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
            distances -= _TERM_ROUNDING * (norms + np.einsum("i,i", vector, vector, dtype=np.float64))
        return not bool(np.all(distances > within + rounding))


def _matching(
    snapshot: Snapshot,
    selection: Selection,
    written: Sequence[str],
    include: frozenset[Include],
    max_seconds: float,
) -> Iterator[Records]:
    """Those of the written records that are selected, some at a time; nothing if there are none."""
    chosen = None if selection.ids is None else frozenset(selection.ids)
    filters = read_path.filters_of(selection)
    read_path.check_indexed(snapshot.collection, selection)
    work.check(snapshot, Work(filters), max_seconds)
    names_ids = any(True for condition in filters for _ in ast.referenced_ids(condition))
    masks = fetch.selection_masks(snapshot, replace(selection, ids=written), written if names_ids else ())
    groups, rows = fetch.in_insertion_order(snapshot, masks)
    size = max(_CHUNK_BYTES // (4 * (snapshot.collection.dimension or 1)), 1)
    for start in range(0, len(rows), size):
        part_groups, part_rows = groups[start : start + size], rows[start : start + size]
        if chosen is not None:
            ids = fetch.materialize(snapshot, part_groups, part_rows, _NO_FIELDS).ids
            is_chosen = np.array([name in chosen for name in ids], dtype=np.bool_)
            part_groups, part_rows = part_groups[is_chosen], part_rows[is_chosen]
        if len(part_rows):
            yield fetch.materialize(snapshot, part_groups, part_rows, include)
