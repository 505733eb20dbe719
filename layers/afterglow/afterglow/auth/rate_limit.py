"""Rate limit of unknown credentials: a token bucket per client address, and one for all addresses.

An attempt takes a token from both buckets before any lookup; a successful attempt returns them. The address is that of
the connection: behind a proxy all clients share one address and one bucket. An IPv6 address stands for its /64 network,
because one host has a whole one.
"""

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_MAX_BUCKETS = 4096
"""Maximum number of buckets; the common bucket bounds evicted addresses."""
_ALL = 10
"""The limit for all addresses together, as a multiple of the limit for one."""
_MINUTE = 60.0


@dataclass(slots=True)
class _TokenBucket:
    tokens: float
    updated_at: float


class RateLimiter:
    """`per_minute` attempts for each address; 0: no limit. Thread-safe."""

    def __init__(self, per_minute: float, now: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._now = now
        self._lock = threading.Lock()
        self._by_network: OrderedDict[str, _TokenBucket] = OrderedDict()
        self._all = _TokenBucket(per_minute * _ALL, now())

    def acquire(self, address: str) -> float:
        """Take one attempt; return 0, or the seconds to wait if none is left."""
        if self._per_minute == 0:
            return 0.0
        now = self._now()
        with self._lock:
            bucket = self._bucket(network_of(address), now)
            wait = max(
                self._refill(bucket, self._per_minute, now), self._refill(self._all, self._per_minute * _ALL, now)
            )
            if wait == 0:
                bucket.tokens -= 1
                self._all.tokens -= 1
            return wait

    def refund(self, address: str) -> None:
        """Return the attempt of a valid credential."""
        with self._lock:
            self._bucket(network_of(address), self._now()).tokens += 1
            self._all.tokens += 1

    def _bucket(self, name: str, now: float) -> _TokenBucket:
        bucket = self._by_network.setdefault(name, _TokenBucket(self._per_minute, now))
        self._by_network.move_to_end(name)
        if len(self._by_network) > _MAX_BUCKETS:
            self._by_network.popitem(last=False)
        return bucket

    @staticmethod
    def _refill(bucket: _TokenBucket, capacity: float, now: float) -> float:
        # A clock that was set back adds no tokens.
        bucket.tokens = min(capacity, bucket.tokens + max(0.0, now - bucket.updated_at) * capacity / _MINUTE)
        bucket.updated_at = now
        return 0.0 if bucket.tokens >= 1 else (1 - bucket.tokens) * _MINUTE / capacity


def network_of(address: str) -> str:
    """The address, or the /64 network of an IPv6 address."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
