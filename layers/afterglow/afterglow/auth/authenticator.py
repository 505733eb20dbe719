"""The gate: from what a caller shows to what it may do, or a refusal. One per process.

1. No credential that can be read: refused (`credentials`).
2. It was decided within `auth_cache_seconds`: the same again, from memory. *This is a warm request.*
3. It was right before, longer ago: asked again, whoever knocks meanwhile.
4. It is not known: the address pays one try (`throttle`), 429 where it has none left; then it is asked.

To ask is to have each verifier look for it: keys in the table, the password file, the token. What they find is kept
for 2, and so is that they found nothing. Both are kept by fingerprint and in bounded numbers, apart from each other, so
that strangers push nobody out.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from afterglow.auth.api_keys import Keys
from afterglow.auth.credentials import Credential
from afterglow.auth.permissions import Grant
from afterglow.auth.rate_limit import RateLimiter
from afterglow.auth.static_credentials import PasswordFile, StaticToken
from afterglow.errors import Busy, InvalidArgument, Unauthenticated
from afterglow.settings import Settings, System

OFF = "off"
_CACHE_ENTRIES = 4096


class Verifier(Protocol):
    """Something that knows credentials."""

    def find(self, credential: Credential) -> Grant | None:
        """What the credential allows, None where it is not known. May read the table, or hash a password."""


@dataclass(frozen=True, slots=True)
class _CachedDecision:
    grant: Grant | None
    at: float


class Authenticator:
    """Safe for any number of threads."""

    def __init__(self, verifiers: Sequence[Verifier], settings: Settings, system: System) -> None:
        self._verifiers = verifiers
        self._cache_seconds = settings.auth_cache_seconds
        self._now = system.now
        self._random = system.random.randbytes(32)
        self._throttle = RateLimiter(settings.auth_attempts_per_minute, system.now)
        self._lock = threading.Lock()
        self._right: OrderedDict[bytes, _CachedDecision] = OrderedDict()
        self._wrong: OrderedDict[bytes, _CachedDecision] = OrderedDict()

    def cached(self, credential: Credential) -> Grant | None:
        """The grant, where it is known without asking; None: `ask`. Raises Unauthenticated."""
        decided = self._decided(credential.fingerprint(self._random))
        if decided is None or not 0 <= self._now() - decided.at < self._cache_seconds:
            return None
        return _granted(decided.grant)

    def authenticate(self, credential: Credential, address: str) -> Grant:
        """The grant, looked for. Raises Unauthenticated, Busy, Unavailable."""
        fingerprint = credential.fingerprint(self._random)
        before = self._decided(fingerprint)
        was_right = before is not None and before.grant is not None
        if not was_right:
            wait = self._throttle.acquire(address)
            if wait:
                raise Busy("Too many requests; backoff and try again: too many credentials that are not known", wait)
        at = self._now()
        grant = next(filter(None, (each.find(credential) for each in self._verifiers)), None)
        if grant is not None and not was_right:
            self._throttle.refund(address)
        self._cache_decision(fingerprint, _CachedDecision(grant, at))
        return _granted(grant)

    def _decided(self, fingerprint: bytes) -> _CachedDecision | None:
        with self._lock:
            return self._right.get(fingerprint) or self._wrong.get(fingerprint)

    def _cache_decision(self, fingerprint: bytes, decided: _CachedDecision) -> None:
        into, other = (self._wrong, self._right) if decided.grant is None else (self._right, self._wrong)
        with self._lock:
            other.pop(fingerprint, None)
            into[fingerprint] = decided
            into.move_to_end(fingerprint)
            if len(into) > _CACHE_ENTRIES:
                into.popitem(last=False)


def make_authenticator(keys: Callable[[], Keys], settings: Settings, system: System) -> Authenticator | None:
    """The gate that `auth` asks for, None where it is off. Raises InvalidArgument."""
    wanted = [each.strip() for each in settings.auth.lower().split(",")]
    if wanted == [OFF]:
        return None
    makers: dict[str, Callable[[], Verifier]] = {
        "keys": keys,
        "token": lambda: StaticToken(settings.auth_token),
        "htpasswd": lambda: PasswordFile(settings.auth_file, system),
    }
    for each in wanted:
        if each not in makers:
            known = ", ".join(makers)
            raise InvalidArgument(f"AFTERGLOW_AUTH must be off, or some of {known} with commas between, got {each!r}")
    return Authenticator([makers[each]() for each in dict.fromkeys(wanted)], settings, system)


def _granted(grant: Grant | None) -> Grant:
    if grant is None:
        raise Unauthenticated("the credentials are not valid")
    return grant
