"""How much the nearest records of two collections with the same ids overlap, for a sample of queries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.collection import Engine
from afterglow.collection.types import Include, QueryResult, Scope, Selection

_GROUP = 20
"""Queries in one read."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """The mean and the lowest share of the `k` nearest records that both collections have in common."""

    queries: int
    k: int
    mean: float
    lowest: float

    def __str__(self) -> str:
        return f"overlap@{self.k} of {self.queries} queries {self.mean:.3f}, lowest {self.lowest:.2f}"


def of_records(engine: Engine, old: Scope, new: Scope, ids: Sequence[str], k: int) -> Overlap | None:
    """Each record is a query by its own vector in either collection, and does not count in the result.

    None if no record has neighbours. Raises NotFound, Unavailable.
    """
    shares = []
    for start in range(0, len(ids), _GROUP):
        group = list(ids[start : start + _GROUP])
        vectors = [_vectors(engine, scope, group) for scope in (old, new)]
        present = [name for name in group if all(name in found for found in vectors)]
        if not present:
            continue
        found = [
            engine.query(scope, np.stack([rows[name] for name in present]), k + 1, Selection(), frozenset())
            for scope, rows in zip((old, new), vectors, strict=True)
        ]
        shares += _shares(found[0], found[1], k, present)
    return _summary(shares, k)


def of_texts(engine: Engine, old: Scope, new: Scope, texts: Sequence[str], k: int) -> Overlap | None:
    """Each text is a query, embedded by the function of either collection.

    None if the collections are empty. Raises InvalidArgument if the old function does not run here, Unavailable.
    """
    shares = []
    for start in range(0, len(texts), _GROUP):
        group = list(texts[start : start + _GROUP])
        found = [engine.query(scope, group, k, Selection(), frozenset()) for scope in (old, new)]
        shares += _shares(found[0], found[1], k, [None] * len(group))
    return _summary(shares, k)


def _vectors(engine: Engine, scope: Scope, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    records = engine.get(scope, Selection(ids=ids), None, 0, frozenset({Include.EMBEDDINGS}))
    assert records.embeddings is not None
    return dict(zip(records.ids, records.embeddings, strict=True))


def _shares(
    old: Sequence[QueryResult], new: Sequence[QueryResult], k: int, queried: Sequence[str | None]
) -> list[float]:
    shares = []
    for before, after, own in zip(old, new, queried, strict=True):
        nearest = [set([name for name in found.records.ids if name != own][:k]) for found in (before, after)]
        size = max(len(nearest[0]), len(nearest[1]))
        if size:
            shares.append(len(nearest[0] & nearest[1]) / size)
    return shares


def _summary(shares: Sequence[float], k: int) -> Overlap | None:
    return Overlap(len(shares), k, float(np.mean(shares)), min(shares)) if shares else None
