"""Transactions of two collections, and the check that their histories together are serializable.

Every such transaction writes in both collections, so it has a position in both logs. In each log it must have read what
was there just before its entry (`tests.concurrency.serializability`); and if one of two is first in one log, it is so
in the other. Then there is one order of all transactions in which each is as if it had run alone.
"""

import random
from collections.abc import Sequence
from itertools import pairwise

from afterglow.collection import Engine
from afterglow.collection.types import Scope
from afterglow.errors import Busy, StaleRead, WriteConflict
from tests.concurrency.serializability import Client

Positions = tuple[int, ...]


class JointClient:
    """Runs random transactions of both collections, and single ones in between."""

    def __init__(self, number: int, engine: Engine, scopes: Sequence[Scope], seed: int) -> None:
        self.clients = [Client(number, engine, scope, seed + index) for index, scope in enumerate(scopes)]
        self.committed: list[Positions] = []
        self.conflicts = 0
        self._engine, self._scopes = engine, scopes
        self._random = random.Random(f"{seed} {number} joint")

    def run(self, steps: int) -> "JointClient":
        """Run as many steps."""
        for _ in range(steps):
            if self._random.random() < 0.4:
                self._random.choice(self.clients).step()
            else:
                self._transaction()
        return self

    def _transaction(self) -> None:
        parts = [client.prepare() for client in self.clients]
        ready = [part for part in parts if part is not None]
        if len(ready) < len(parts):
            return
        transactions = zip(self._scopes, (part.transaction for part in ready), strict=True)
        try:
            results = self._engine.commit_together(list(transactions))
        except (WriteConflict, StaleRead, Busy):
            self.conflicts += 1
            return
        positions = [result.position for result in results]
        for client, part, position in zip(self.clients, ready, positions, strict=True):
            assert position is not None
            client.history.append(part.done(position))
        self.committed.append(tuple(position for position in positions if position is not None))


def disorder(committed: Sequence[Positions]) -> list[tuple[Positions, Positions]]:
    """Neighbours in the order of the first log that are in another order in the second one."""
    ordered = sorted(committed)
    return [
        (one, other)
        for one, other in pairwise(ordered)
        if not all(first < second for first, second in zip(one, other, strict=True))
    ]
