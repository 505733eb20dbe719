"""A budget of bytes in memory, for request bodies that arrive and for responses that are delivered.

Each transfer has a lease. It takes bytes from the budget as it needs them and returns all of them at its end:

1. Bytes that fit are taken at once. Otherwise the transfer waits. Free bytes go first to the caller that holds least,
   then to the transfer that began first; a caller is a user, or without authentication a client address.
2. `reserve` bytes are for the oldest transfer alone. So it can always finish, and partial transfers that wait for each
   other's bytes cannot block all of them.
3. While a transfer waits, a transfer whose client moved less than `STEP_BYTES` in `STALL_SECONDS` is dropped, the one
   stalled longest first. If none is stalled, and the waiting caller holds less than an equal share, a transfer of the
   caller that holds most is dropped.

So a slow client holds what it has brought, and only as long as nobody else needs it. Without a transfer that waits, no
client is too slow for the budget. All of this runs on one event loop; nothing here is safe for several threads.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

UNCOUNTED_BYTES = 64 * 1024
"""Bodies and responses up to this size are not counted: a connection buffers as many bytes anyway."""
STEP_BYTES = 64 * 1024
STALL_SECONDS = 2.0
_CHECK_SECONDS = 0.25
_PATIENCE_SECONDS = 1.0
"""How long a transfer waits before one of a caller with more than its share is dropped."""


class Dropped(Exception):
    """The transfer lost its place to others."""


@dataclass(slots=True, eq=False)
class Lease:
    """The bytes of one transfer."""

    caller: str
    budget: "ByteBudget"
    interrupt: Callable[[], None] | None = field(default=None, init=False)
    """Ends the transfer; set while it waits for its client."""
    is_dropped: bool = field(default=False, init=False)
    held: int = field(default=0, init=False)
    requested: int = field(default=0, init=False)
    """Bytes that the transfer waits for."""
    since: float = field(default=0.0, init=False)
    """Time of the event loop at which the transfer began to wait for the budget, or last moved a step."""
    _moved: int = field(default=0, init=False)
    _turn: "asyncio.Future[bool] | None" = field(default=None, init=False, repr=False)

    @property
    def is_waiting(self) -> bool:
        """Whether the transfer waits for bytes of the budget."""
        return self._turn is not None

    async def take(self, size: int) -> None:
        """Take `size` more bytes; waits until they fit. Raises Dropped."""
        loop = asyncio.get_running_loop()
        if not self.held:
            self.since = loop.time()
        if self.budget.try_take(self, size):
            return
        # Its result is whether the bytes were given. An exception in it would be part of a reference cycle with the
        # frames of the request, and so keep a large response in memory until the next garbage collection.
        self._turn = turn = loop.create_future()
        self.requested, self.since = size, loop.time()
        self.budget.enqueue(self)
        try:
            is_granted = await turn
        finally:
            self._turn, self.requested, self._moved = None, 0, 0
            self.since = loop.time()
            self.budget.dequeue(self)
        if not is_granted:
            raise Dropped

    def move(self, size: int) -> None:
        """The client has sent or received `size` bytes."""
        self._moved += size
        if self._moved >= STEP_BYTES:
            self._moved, self.since = 0, asyncio.get_running_loop().time()

    def grant(self) -> None:
        """End the wait: the budget has given the bytes."""
        turn, self._turn = self._turn, None
        if turn is not None and not turn.done():
            turn.set_result(True)

    def drop(self) -> None:
        """End the transfer: its wait with `Dropped`, or the wait for its client by `interrupt`."""
        self.is_dropped = True
        turn, self._turn = self._turn, None
        if turn is not None:
            if not turn.done():
                turn.set_result(False)
        elif self.interrupt is not None:
            self.interrupt()

    def release(self) -> None:
        """Return all bytes; to be called at the end of the transfer."""
        self.budget.release(self)


class ByteBudget:
    """`total` bytes, of which `reserve` are for the oldest transfer alone.

    At most `total` bytes are held, or as many as the largest transfer takes if that is more than `reserve`: the oldest
    transfer gets all that it takes.
    `max_waiting`: transfers that wait may want this many bytes together; beyond that the last one of the caller that
    wants most is dropped. None: no limit.
    """

    def __init__(self, total: int, reserve: int = 0, max_waiting: int | None = None) -> None:
        self._total = total
        self._shared = max(total - reserve, 0)
        self._max_waiting = max_waiting
        self._leases: dict[Lease, None] = {}
        self._waiting: list[Lease] = []
        self._timer: asyncio.TimerHandle | None = None

    def lease(self, caller: str) -> Lease:
        """A lease of nothing so far."""
        return Lease(caller, self)

    @property
    def held(self) -> int:
        """Bytes of all leases."""
        return sum(lease.held for lease in self._leases)

    # Called by leases

    def try_take(self, lease: Lease, size: int) -> bool:
        """Give the bytes at once, if they fit and nobody waits for them."""
        is_oldest = next(iter(self._leases), lease) is lease
        if (self._waiting and not is_oldest) or not self._fits(lease, size):
            return False
        self._give(lease, size)
        return True

    def enqueue(self, lease: Lease) -> None:
        """Add a lease that waits for `requested` bytes."""
        self._leases.setdefault(lease)
        self._waiting.append(lease)
        self._drop_excess()
        self._start_timer()

    def dequeue(self, lease: Lease) -> None:
        """Remove a lease whose wait has ended, also by cancellation."""
        if lease in self._waiting:
            self._waiting.remove(lease)
            self._grant_waiting()

    def release(self, lease: Lease) -> None:
        """Return the bytes of a lease."""
        if lease in self._leases:
            del self._leases[lease]
            lease.held = 0
            self._grant_waiting()

    # The shares

    def _give(self, lease: Lease, size: int) -> None:
        self._leases.setdefault(lease)
        lease.held += size

    def _fits(self, lease: Lease, size: int) -> bool:
        oldest = next(iter(self._leases), lease)
        held = self.held
        is_shared = held + size <= self._total and held - oldest.held + size <= self._shared
        return lease is oldest or is_shared

    def _grant_waiting(self) -> None:
        while self._waiting:
            shares = self._held_by_caller()
            first = min(self._waiting, key=lambda lease: shares[lease.caller])
            oldest = next(iter(self._leases))
            # The oldest may use the reserve, even if it is not the first in line.
            lease = first if self._fits(first, first.requested) or not oldest.is_waiting else oldest
            if not self._fits(lease, lease.requested):
                return
            self._waiting.remove(lease)
            self._give(lease, lease.requested)
            lease.grant()

    def _held_by_caller(self) -> Counter[str]:
        shares: Counter[str] = Counter()
        for lease in self._leases:
            shares[lease.caller] += lease.held
        return shares

    # Dropping

    def _drop_excess(self) -> None:
        """Keep what waiting transfers want within `max_waiting`."""
        if self._max_waiting is None:
            return
        requested: Counter[str] = Counter()
        for lease in self._waiting:
            requested[lease.caller] += lease.requested
        while requested.total() > self._max_waiting and len(self._waiting) > 1:
            caller = requested.most_common(1)[0][0]
            last = next(lease for lease in reversed(self._waiting) if lease.caller == caller)
            requested[caller] -= last.requested
            self._waiting.remove(last)
            last.drop()

    def _start_timer(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check)

    def _check(self) -> None:
        """Drop one transfer in favour of those that wait, if there is one to drop."""
        self._timer = None
        if not self._waiting:
            return
        now = asyncio.get_running_loop().time()
        victim = self._stalled(now) or self._over_share(now)
        if victim is not None:
            victim.drop()
        self._start_timer()

    def _stalled(self, now: float) -> Lease | None:
        """The transfer whose client has been stalled longest."""
        idle = [lease for lease in self._leases if lease.interrupt is not None and not lease.is_waiting]
        slow = [lease for lease in idle if now - lease.since >= STALL_SECONDS and not lease.is_dropped]
        return min(slow, key=lambda lease: lease.since, default=None)

    def _over_share(self, now: float) -> Lease | None:
        """The slowest transfer of the caller that holds most, if the first in line holds less than an equal share."""
        shares = self._held_by_caller()
        first = min(self._waiting, key=lambda lease: shares[lease.caller])
        greedy, most = shares.most_common(1)[0]
        equal = self._shared / len(shares)
        if now - first.since < _PATIENCE_SECONDS or shares[first.caller] >= equal or most <= equal:
            return None
        candidates = [
            lease
            for lease in self._leases
            if lease.caller == greedy and (lease.interrupt or lease.is_waiting) and lease.held and not lease.is_dropped
        ]
        return min(candidates, key=lambda lease: lease.since, default=None)


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets of a server process."""

    bodies: ByteBudget
    responses: ByteBudget


def make_budgets(body_bytes: int, max_body_bytes: int, response_bytes: int) -> Budgets:
    """Budgets of `body_bytes`, or of one body of `max_body_bytes`, and of `response_bytes` and half as many waiting."""
    return Budgets(
        ByteBudget(max(body_bytes, max_body_bytes), reserve=max_body_bytes),
        ByteBudget(response_bytes, max_waiting=response_bytes // 2),
    )
