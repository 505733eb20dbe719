"""The operations of `embeddings_queue` on one record, replayed as Chroma applies them.

An add of an existing record and an update of a missing one have no effect; a delete ends the record; metadata is merged
by key, where null removes a key.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

ADD, UPDATE, UPSERT, DELETE = range(4)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation without its contents; `has_vector`: it has a vector of the collection's dimension."""

    seq: int
    kind: int
    has_vector: bool


@dataclass(slots=True)
class State:
    """The state of a record: whether it exists (None: unknown), and the operation with its newest vector."""

    is_present: bool | None = None
    vector_seq: int | None = None


def replay(operations: Iterable[Operation], *, is_present: bool | None, after: int = -1) -> State:
    """The state after the operations beyond `after`, beginning with a record that exists or not.

    None: unknown, as Chroma removes old operations from the queue; then any first operation applies.
    """
    state = State(is_present)
    for operation in operations:
        if operation.seq <= after or not _applies(operation.kind, is_present=state.is_present):
            continue
        state.is_present = operation.kind != DELETE
        if operation.kind == DELETE:
            state.vector_seq = None
        elif operation.has_vector:
            state.vector_seq = operation.seq
    return state


def _applies(kind: int, *, is_present: bool | None) -> bool:
    if is_present is None:
        return True
    if kind == ADD:
        return not is_present
    return is_present or kind == UPSERT


@dataclass(slots=True)
class Fields:
    """Document and metadata of a record, with Chroma's internal keys; `is_present`: see `State`."""

    values: dict[str, Any] = field(default_factory=dict)
    is_present: bool | None = None

    def apply(self, kind: int, metadata: str | None) -> None:
        """Apply an operation; unreadable metadata changes nothing."""
        if not _applies(kind, is_present=self.is_present):
            return
        self.is_present = kind != DELETE
        if kind == DELETE:
            self.values.clear()
            return
        for key, value in _parse(metadata).items():
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value


def _parse(metadata: str | None) -> Mapping[str, Any]:
    try:
        values = orjson.loads(metadata or "{}")
    except orjson.JSONDecodeError:
        return {}
    return values if type(values) is dict else {}
