"""Whether two answers of the stock client are the same answer, up to ties and rounding."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

RELATIVE, ABSOLUTE = 1e-4, 2e-5
"""Embeddings of the cosine space are stored normalised by the genuine server; distances are sums in float32."""


def close(first: float, second: float) -> bool:
    """Equal up to rounding."""
    return math.isclose(first, second, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def differences(method: str, ours: Any, theirs: Any) -> list[str]:
    """What differs, in words."""
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        same = type(ours) is type(theirs)
        return [] if same else [f"{ours!r} is not {theirs!r}"]
    if method == "get":
        return _get(ours, theirs)
    if method == "query":
        rows = range(max(len(ours["ids"]), len(theirs["ids"])))
        return [item for row in rows for item in _query(_row(ours, row), _row(theirs, row), row)]
    return [] if ours == theirs else [f"{ours!r} is not {theirs!r}"]


def _exact(first: Any, second: Any) -> bool:
    """Equal with equal types: True is not 1, 1 is not 1.0. Empty metadata is no metadata."""
    if isinstance(first, Mapping) or isinstance(second, Mapping):
        left, right = dict(first or {}), dict(second or {})
        return left.keys() == right.keys() and all(_exact(left[key], right[key]) for key in left)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(_exact(a, b) for a, b in zip(first, second, strict=True))
    return type(first) is type(second) and bool(first == second)


def _vectors_close(first: Sequence[float], second: Sequence[float]) -> bool:
    return len(first) == len(second) and all(close(float(a), float(b)) for a, b in zip(first, second, strict=True))


def _get(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    if ours["ids"] != theirs["ids"]:
        return [f"ids {ours['ids']} are not {theirs['ids']}"]
    found = [
        f"{field} {ours[field]} are not {theirs[field]}"
        for field in ("documents", "metadatas", "uris")
        if not _exact(ours[field], theirs[field])
    ]
    for name, left, right in zip(ours["ids"], ours["embeddings"], theirs["embeddings"], strict=True):
        if not _vectors_close(left, right):
            found.append(f"embedding of {name} {left} is not {right}")
    return found


def _row(answer: Mapping[str, Any], row: int) -> dict[str, Any]:
    return {field: answer[field][row] for field in ("ids", "distances", "documents", "metadatas", "embeddings")}


def _query(ours: Mapping[str, Any], theirs: Mapping[str, Any], row: int) -> list[str]:
    """Equal distances place by place, and equal records wherever both name the same id.

    The genuine index is approximate and may miss a record; then ours must be nearer, place by place.
    """
    found: list[str] = []
    if len(ours["ids"]) < len(theirs["ids"]):
        found.append(f"query {row}: {len(ours['ids'])} records {ours['ids']}, not {theirs['ids']}")
    for place, (left, right) in enumerate(zip(ours["distances"], theirs["distances"], strict=False)):
        if left > right and not close(left, right):
            found.append(f"query {row}: distance {left} at {place}, not {right}: {ours['ids']}, {theirs['ids']}")
    if any(a > b for a, b in zip(ours["distances"], ours["distances"][1:], strict=False)):
        found.append(f"query {row}: distances do not ascend: {ours['distances']}")
    places = {name: place for place, name in enumerate(theirs["ids"])}
    for place, name in enumerate(ours["ids"]):
        if name not in places:
            continue
        other = places[name]
        if not close(ours["distances"][place], theirs["distances"][other]):
            found.append(f"query {row}: distance of {name} is {ours['distances'][place]}")
        found += [
            f"query {row}: {field} of {name}: {ours[field][place]} is not {theirs[field][other]}"
            for field in ("documents", "metadatas")
            if not _exact(ours[field][place], theirs[field][other])
        ]
        if not _vectors_close(ours["embeddings"][place], theirs["embeddings"][other]):
            found.append(f"query {row}: embedding of {name}")
    return found
