"""A search evaluated record by record: the oracle of the evaluation over arrays."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np

from tests.filters.reference import holds
from tests.support.distances import reference_distance
from tests.support.model import Model, Record, by_sparse_vector

Scores = tuple[dict[str, np.float32], np.float32 | None]
"""The scores of some records, and that of all others, if they have one."""

FUNCTIONS: Mapping[str, Callable[..., Any]] = {"$abs": np.abs, "$exp": np.exp, "$log": np.log}
BINARY_OPERATORS: Mapping[str, Callable[..., Any]] = {"$sub": np.subtract, "$div": np.divide}
NARY_OPERATORS: Mapping[str, tuple[Callable[..., Any], float]] = {
    "$sum": (np.add, 0),
    "$mul": (np.multiply, 1),
    "$max": (np.fmax, -np.inf),
    "$min": (np.fmin, np.inf),
}
KINDS = (bool, int, float, str)


def found(model: Model, space: str, search: Mapping[str, Any]) -> list[tuple[str, np.float32]]:
    """The ids that a search answers, each with its score."""
    allowed = [name for name, item in model.records.items() if _passes(search.get("filter"), name, item)]
    if search.get("rank"):
        with np.errstate(all="ignore"):
            scores, _ = _scores(search["rank"], model, space, allowed)
        positions = {name: position for position, name in enumerate(model.records)}
        ranked = sorted(scores.items(), key=lambda item: (_sorting(item[1]), positions[item[0]]))
    else:
        ranked = [(name, np.float32(position)) for position, name in enumerate(allowed)]
    if search.get("group_by"):
        ranked = _best_of_groups(ranked, model, search["group_by"])
    page = search.get("limit", {})
    start, count = page.get("offset", 0), page.get("limit")
    return ranked[start : None if count is None else start + count]


def _passes(where: dict[str, Any] | None, name: str, record: Record) -> bool:
    return not where or holds(where, {**(record.metadata or {}), "#id": name}, record.document)


def _sorting(score: np.float32) -> tuple[bool, float]:
    is_none = bool(np.isnan(score))
    return is_none, 0.0 if is_none else float(score)


def _scores(rank: dict[str, Any], model: Model, space: str, allowed: list[str]) -> Scores:
    ((operator, operand),) = rank.items()
    if operator == "$val":
        return {}, np.float32(operand)
    if operator == "$knn":
        return _nearest(operand, model, space, allowed)
    if operator in FUNCTIONS:
        scores, default = _scores(operand, model, space, allowed)
        apply = FUNCTIONS[operator]
        return {name: apply(item) for name, item in scores.items()}, None if default is None else apply(default)
    if operator in BINARY_OPERATORS:
        left, right = (_scores(operand[side], model, space, allowed) for side in ("left", "right"))
        return _combined(left, right, BINARY_OPERATORS[operator])
    combine, neutral = NARY_OPERATORS[operator]
    operands = [_scores(item, model, space, allowed) for item in operand]
    return reduce(lambda one, other: _combined(one, other, combine), operands or [({}, np.float32(neutral))])


def _combined(left: Scores, right: Scores, combine: Callable[..., Any]) -> Scores:
    (ours, our_default), (theirs, their_default) = left, right
    names = [
        name
        for name in {**ours, **theirs}
        if (name in ours or our_default is not None) and (name in theirs or their_default is not None)
    ]
    has_default = our_default is not None and their_default is not None
    return (
        {name: combine(ours.get(name, our_default), theirs.get(name, their_default)) for name in names},
        combine(our_default, their_default) if has_default else None,
    )


def _nearest(knn: dict[str, Any], model: Model, space: str, allowed: list[str]) -> Scores:
    query = knn["query"]
    if isinstance(query, dict):
        weights = dict(zip(query["indices"], query["values"], strict=True))
        near = by_sparse_vector(model, knn["key"], weights, allowed, bm25=False)
    else:
        distances = (
            (name, float(np.float32(reference_distance(space, query, model.records[name].vector)))) for name in allowed
        )
        near = sorted(distances, key=lambda item: item[1])
    measured = [(name, position if knn.get("return_rank") else item) for position, (name, item) in enumerate(near)]
    default = knn.get("default")
    first = measured[: knn.get("limit", 16)]
    return {name: np.float32(item) for name, item in first}, None if default is None else np.float32(default)


def _best_of_groups(
    ranked: list[tuple[str, np.float32]], model: Model, groups: dict[str, Any]
) -> list[tuple[str, np.float32]]:
    ((order, aggregate),) = groups["aggregate"].items()
    records_of_group: dict[Any, list[tuple[str, np.float32]]] = {}

    def value(name: str, key: str) -> Any:
        return (model.records[name].metadata or {}).get(key)

    def sorting(hit: tuple[str, np.float32]) -> Any:
        name, score = hit
        return [_sorting(score) if key == "#score" else comparable_value(value(name, key)) for key in aggregate["keys"]]

    for hit in ranked:
        group = tuple(repr(comparable_value(value(hit[0], key))) for key in groups["keys"])
        records_of_group.setdefault(group, []).append(hit)
    best_ids = set()
    for item in records_of_group.values():
        # Sorting is stable either way round, so that ties stay in the order of scores.
        best = sorted(item, key=sorting, reverse=order == "$max_k")
        best_ids |= {name for name, _ in best[: aggregate["k"]]}
    return [hit for hit in ranked if hit[0] in best_ids]


def comparable_value(value: Any) -> tuple[Any, ...]:
    """Something that sorts as the value does; a sparse vector is no value."""
    if value is None or isinstance(value, dict):
        return (0,)
    if isinstance(value, list):
        return (4 + KINDS.index(type(value[0])), value)
    return ({bool: 1, int: 2, float: 2, str: 3}[type(value)], value)
