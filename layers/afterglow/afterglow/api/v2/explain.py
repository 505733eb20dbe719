"""The field `explain` of a read's response: how the read was executed, for a request with `"explain": true`."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from afterglow.api.http.errors import forbidden
from afterglow.api.http.handler import Request
from afterglow.collection.read.explanation import Explanation, GroupStep, SearchSteps
from afterglow.metering import Usage, observe_usage, phase
from afterglow.prices import stores_dollars

T = TypeVar("T")

_TOTAL = "total"


def check_allowed(request: Request, *, explain: bool) -> None:
    """Raises Forbidden if a caller whose key has filters asks for an explanation: it counts the rows of others."""
    if explain and request.grant.wheres is not None:
        raise forbidden()


def explained(read: Callable[[Explanation], T]) -> tuple[T, dict[str, Any]]:
    """The result of `read`, and the field `explain` for it; the read also counts for the request's own usage."""
    explanation = Explanation()
    with observe_usage() as usage, phase(_TOTAL):
        result = read(explanation)
    return result, report(explanation, usage)


def report(explanation: Explanation, usage: Usage) -> dict[str, Any]:
    """The field's value."""
    return {
        "milliseconds": {name: round(milliseconds, 3) for name, milliseconds in usage.phases.items()},
        "records": explanation.records,
        "row_groups": explanation.row_groups,
        "log_position": explanation.applied_seq,
        "may_lose_recall": explanation.may_lose_recall,
        "searches": [_search(search) for search in explanation.searches],
        "left_out": explanation.left_out,
        "requests": dict(sorted(usage.calls.items())),
        "read_units": usage.read_units,
        "bytes_read": usage.bytes_read,
        "dollars": round(stores_dollars(usage), 12),
    }


def _search(search: SearchSteps) -> dict[str, Any]:
    return {
        "rows": search.rows,
        "matching": search.matching,
        "conditions": search.conditions,
        "reads_documents": search.reads_documents,
        "neighbors": [
            {"key": knn.key, "k": knn.k, "vectors": knn.vectors, "row_groups": list(map(_group, knn.groups))}
            for knn in search.neighbors
        ],
        "reranked": list(map(asdict, search.reranked)),
    }


def _group(step: GroupStep) -> dict[str, Any]:
    return asdict(step) | {"may_lose_recall": step.may_lose_recall}
