"""What the processes do, one operation at a time, and what each of them must get back.

A client checks its own responses against the observer: an acknowledged write is in the log at the position that was
acknowledged; a read equals the collection at the position that it names, which is not before any write acknowledged
when the read began. `Unavailable` and `Busy` mean that the outcome is unknown; any other error is a violation.
"""

from collections.abc import Callable
from functools import partial

from afterglow.errors import Busy, Unavailable
from tests.simulation.background import collect, hold_writes, maintain, run_indexer
from tests.simulation.cast import Cast, Operation
from tests.simulation.clients import (
    delete_matching,
    drop_and_restore,
    fork,
    import_chunk,
    modify,
    read,
    read_past,
    write,
)
from tests.simulation.joint_commits import commit_together
from tests.simulation.processes import Process
from tests.support.faulty import Crash


def perform(cast: Cast, process: Process, operation: Operation) -> None:
    """Run one operation in the process, whose incarnation may die of it."""
    incarnation = process.incarnation()
    name = operation.__name__
    try:
        operation(cast, incarnation)
    except (Busy, Unavailable):
        name = f"{name}: unknown"
    except Crash:
        name = f"{name}: died"
    cast.counts[name] = cast.counts.get(name, 0) + 1


OPERATIONS: dict[str, list[Operation]] = {
    "writer": [write, write, write, write, delete_matching, read, import_chunk, modify, commit_together],
    "reader": [read, read, read_past, fork],
    "indexer": [run_indexer, run_indexer, run_indexer, collect, maintain],
    "maintainer": [collect, maintain, run_indexer, drop_and_restore, fork, hold_writes],
}


def act(cast: Cast, process: Process, role: str, operations: int) -> Callable[[], None]:
    """The body of an actor: some operations of its role."""

    def body() -> None:
        for _ in range(operations):
            perform(cast, process, cast.environment.random.choice(OPERATIONS[role]))

    return partial(body)
