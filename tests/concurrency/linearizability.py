"""Linearizability of each record, checked on a history (Herlihy & Wing 1990).

Each operation must seem to take effect at one instant between its start and its end. Records are independent, so each
is checked by itself (locality). The search is that of Wing & Gong (1993) with the memory of Lowe (2017): from the state
so far, try every operation that may be next, and never try the same set of operations with the same state twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operation:
    """One request about one record. `value` is what it writes, or what a read returned (None: no such record).

    `ended` is None if the outcome is unknown: it may take effect at any time after its start, or never.
    """

    client: str
    key: str
    verb: str
    value: int | None
    started: float
    ended: float | None


def violations(operations: Iterable[Operation]) -> list[str]:
    """Descriptions of the records whose history is not linearizable."""
    by_key: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_key[operation.key].append(operation)
    return [
        f"the history of {key} is not linearizable: {sorted(history, key=lambda operation: operation.started)}"
        for key, history in sorted(by_key.items())
        if not is_linearizable(history)
    ]


def is_linearizable(history: Sequence[Operation]) -> bool:
    """Whether some order of the operations on one record explains all of them; it does not exist in the beginning."""
    ordered = sorted(history, key=lambda operation: operation.started)
    required = sum(1 << index for index, operation in enumerate(ordered) if operation.ended is not None)
    pending: list[tuple[int, int | None]] = [(0, None)]
    tried = set(pending)
    while pending:
        done, value = pending.pop()
        if done & required == required:
            return True
        for index in _next(ordered, done):
            accepted, new_value = _apply(ordered[index], value)
            found = done | 1 << index, new_value
            if accepted and found not in tried:
                tried.add(found)
                pending.append(found)
    return False


def _next(ordered: Sequence[Operation], done: int) -> list[int]:
    """The operations that may be next: no other one has ended before they started."""
    candidates: list[int] = []
    first_end = float("inf")
    for index, operation in enumerate(ordered):
        if operation.started > first_end:
            break
        if not done >> index & 1:
            candidates.append(index)
            if operation.ended is not None:
                first_end = min(first_end, operation.ended)
    return [index for index in candidates if ordered[index].started <= first_end]


def _apply(operation: Operation, value: int | None) -> tuple[bool, int | None]:
    """Whether the operation may meet this value of the record, and the value after it."""
    match operation.verb:
        case "read":
            return operation.value == value, value
        case "add":
            return True, operation.value if value is None else value
        case "update":
            return True, None if value is None else operation.value
        case "upsert":
            return True, operation.value
        case "delete":
            return True, None
        case _:
            raise ValueError(operation.verb)
