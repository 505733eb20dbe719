"""How often an address may show a credential that is not known here: buckets that fill up again, one per address.

A try takes from the bucket of its address and from one for all of them, before anything is looked up; a try that turns
out right puts back what it took. Addresses are those of the connection: behind a proxy all are one, which then has the
bucket of one. Of IPv6 an address stands for its network of 64 bits, as one host has as many.
"""

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_ADDRESSES = 4096
"""Addresses remembered; the bucket of all bounds those that were forgotten."""
_ALL = 10
"""All addresses together may try so many times what one may."""
_MINUTE = 60.0


@dataclass(slots=True)
class _TokenBucket:
    left: float
    at: float


class RateLimiter:
    """`per_minute` tries for each address, any number where that is 0. Safe for any number of threads."""

    def __init__(self, per_minute: float, now: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._now = now
        self._lock = threading.Lock()
        self._one: OrderedDict[str, _TokenBucket] = OrderedDict()
        self._all = _TokenBucket(per_minute * _ALL, now())

    def acquire(self, address: str) -> float:
        """Take one try: 0 when it was there, else the seconds until it is."""
        if self._per_minute == 0:
            return 0.0
        now = self._now()
        with self._lock:
            one = self._bucket(_network(address), now)
            wait = max(self._filled(one, self._per_minute, now), self._filled(self._all, self._per_minute * _ALL, now))
            if wait == 0:
                one.left -= 1
                self._all.left -= 1
            return wait

    def refund(self, address: str) -> None:
        """The try was right."""
        with self._lock:
            self._bucket(_network(address), self._now()).left += 1
            self._all.left += 1

    def _bucket(self, name: str, now: float) -> _TokenBucket:
        found = self._one.setdefault(name, _TokenBucket(self._per_minute, now))
        self._one.move_to_end(name)
        if len(self._one) > _ADDRESSES:
            self._one.popitem(last=False)
        return found

    @staticmethod
    def _filled(bucket: _TokenBucket, most: float, now: float) -> float:
        # A clock that was set back fills nothing.
        bucket.left = min(most, bucket.left + max(0.0, now - bucket.at) * most / _MINUTE)
        bucket.at = now
        return 0.0 if bucket.left >= 1 else (1 - bucket.left) * _MINUTE / most


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
