"""The authenticator: maps a credential to a grant, or rejects it. One per process.

1. No readable credential: rejected (`credentials`).
2. Decided within `auth_cache_seconds`: the cached decision applies. *This is a warm request.*
3. Valid before, but the decision has expired: verified again, without the rate limit.
4. Unknown: the address uses one attempt of its rate limit (`rate_limit`), 429 if none is left; then it is verified.

The verifiers are the keys in the table, the password file, and the token. Grants and rejections are cached for step 2
by the credential's fingerprint, in two separate bounded caches, so that invalid credentials cannot evict valid ones.
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
KEYS = "keys"
_CACHE_ENTRIES = 4096


class Verifier(Protocol):
    """A source of valid credentials."""

    def find(self, credential: Credential) -> Grant | None:
        """Return the credential's grant, None when it is invalid. May read the table or hash a password."""


@dataclass(frozen=True, slots=True)
class _CachedDecision:
    grant: Grant | None
    decided_at: float


class Authenticator:
    """Caches decisions and calls the verifiers. Thread-safe."""

    def __init__(self, verifiers: Sequence[Verifier], settings: Settings, system: System) -> None:
        self._verifiers = verifiers
        self._cache_seconds = settings.auth_cache_seconds
        self._now = system.now
        self._random = system.random.randbytes(32)
        self._rate_limiter = RateLimiter(settings.auth_attempts_per_minute, system.now)
        self._lock = threading.Lock()
        self._granted: OrderedDict[bytes, _CachedDecision] = OrderedDict()
        self._rejected: OrderedDict[bytes, _CachedDecision] = OrderedDict()

    def cached(self, credential: Credential) -> Grant | None:
        """Return the cached grant; None: call `authenticate`. Raises Unauthenticated."""
        decision = self._decision(credential.fingerprint(self._random))
        if decision is None or not 0 <= self._now() - decision.decided_at < self._cache_seconds:
            return None
        return self._require_grant(decision.grant)

    def authenticate(self, credential: Credential, address: str) -> Grant:
        """Verify the credential and return its grant. Raises Unauthenticated, Busy, Unavailable."""
        fingerprint = credential.fingerprint(self._random)
        previous = self._decision(fingerprint)
        was_valid = previous is not None and previous.grant is not None
        if not was_valid:
            wait = self._rate_limiter.acquire(address)
            if wait:
                raise Busy("Too many requests; backoff and try again: too many credentials that are not known", wait)
        decided_at = self._now()
        grant = next(filter(None, (verifier.find(credential) for verifier in self._verifiers)), None)
        if grant is not None and not was_valid:
            self._rate_limiter.refund(address)
        self._cache_decision(fingerprint, _CachedDecision(grant, decided_at))
        return self._require_grant(grant)

    def _require_grant(self, grant: Grant | None) -> Grant:
        """The grant, if it is not over. Raises Unauthenticated."""
        if grant is None or (grant.expires is not None and grant.expires <= self._now()):
            raise Unauthenticated("the credentials are not valid")
        return grant

    def _decision(self, fingerprint: bytes) -> _CachedDecision | None:
        with self._lock:
            return self._granted.get(fingerprint) or self._rejected.get(fingerprint)

    def _cache_decision(self, fingerprint: bytes, decision: _CachedDecision) -> None:
        cache, other = (self._rejected, self._granted) if decision.grant is None else (self._granted, self._rejected)
        with self._lock:
            other.pop(fingerprint, None)
            cache[fingerprint] = decision
            cache.move_to_end(fingerprint)
            if len(cache) > _CACHE_ENTRIES:
                cache.popitem(last=False)


def make_authenticator(keys: Callable[[], Keys], settings: Settings, system: System) -> Authenticator | None:
    """Create the authenticator configured by the setting `auth`, None when it is `off`. Raises InvalidArgument."""
    names = _names(settings)
    if names == [OFF]:
        return None
    makers: dict[str, Callable[[], Verifier]] = {
        KEYS: keys,
        "token": lambda: StaticToken(settings.auth_token),
        "htpasswd": lambda: PasswordFile(settings.auth_file, system),
    }
    for name in names:
        if name not in makers:
            methods = ", ".join(makers)
            raise InvalidArgument(
                f"AFTERGLOW_AUTH must be off, or one or more of {methods} separated by commas, got {name!r}"
            )
    return Authenticator([makers[name]() for name in dict.fromkeys(names)], settings, system)


def takes_keys(settings: Settings) -> bool:
    """Whether the authenticator accepts API keys."""
    return KEYS in _names(settings)


def _names(settings: Settings) -> list[str]:
    return [name.strip() for name in settings.auth.lower().split(",")]
