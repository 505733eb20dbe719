"""Credentials of a request: the secret in its headers, and the user name of Basic authentication.

Three headers are accepted, as in Chroma: `X-Chroma-Token: <secret>`, `Authorization: Bearer <secret>` and
`Authorization: Basic <base64 of user:secret>`. The first takes precedence, so a proxy in front may use Basic.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from afterglow.errors import Unauthenticated

_MAX_BYTES = 4096
"""Maximum bytes of a header's value; a longer one is not a credential."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret, and the user name with Basic. Neither may be logged."""

    user: bytes | None
    secret: bytes = field(repr=False)

    def fingerprint(self, key: bytes) -> bytes:
        """Return the cache key: a digest under `key`, which is random and never leaves the process."""
        user = b"" if self.user is None else b"%d:" % len(self.user) + self.user
        return hashlib.blake2b(user + b"\0" + self.secret, key=key, digest_size=32).digest()


def extract(headers: Iterable[tuple[bytes, bytes]]) -> Credential:
    """Return the credential in the headers, whose names are in lower case. Raises Unauthenticated."""
    credential = _read(headers)
    if credential is None:
        raise Unauthenticated("no credentials: send a key as X-Chroma-Token, or as Authorization: Bearer or Basic")
    return credential


def _read(headers: Iterable[tuple[bytes, bytes]]) -> Credential | None:
    """Return None when the credential is missing or unreadable.

    A repeated header is rejected: a proxy might use its first value and this server its last.
    """
    token = authorization = None
    for name, value in headers:
        if name == b"x-chroma-token":
            if token is not None:
                return None
            token = value
        elif name == b"authorization":
            if authorization is not None:
                return None
            authorization = value
    if token is not None:
        return _secret(token)
    if authorization is None:
        return None
    scheme, _, rest = authorization.partition(b" ")
    match scheme.lower():
        case b"bearer":
            return _secret(rest)
        case b"basic":
            return _basic(rest)
        case _:
            return None


def _secret(value: bytes) -> Credential | None:
    secret = value.strip()
    return Credential(None, secret) if 0 < len(secret) <= _MAX_BYTES else None


def _basic(value: bytes) -> Credential | None:
    if len(value) > _MAX_BYTES:
        return None
    try:
        user, colon, secret = base64.b64decode(value.strip(), validate=True).partition(b":")
    except binascii.Error:
        return None
    return Credential(user, secret) if colon else None
