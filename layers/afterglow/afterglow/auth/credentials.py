"""What a caller shows: the secret in its headers, and a user's name where it came by Basic.

Three headers are understood, as in Chroma: `X-Chroma-Token: <secret>`, `Authorization: Bearer <secret>` and
`Authorization: Basic <base64 of user:secret>`. The first of them wins, so that a proxy in front may have its own Basic.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from afterglow.errors import Unauthenticated

_LONGEST = 4096
"""Bytes of a header's value; nothing longer is a credential."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret, and by Basic whose it is said to be. Neither may be logged."""

    user: bytes | None
    secret: bytes = field(repr=False)

    def fingerprint(self, key: bytes) -> bytes:
        """What it is remembered by: a digest under `key`, which is random and never leaves the process."""
        user = b"" if self.user is None else b"%d:" % len(self.user) + self.user
        return hashlib.blake2b(user + b"\0" + self.secret, key=key, digest_size=32).digest()


def extract(headers: Iterable[tuple[bytes, bytes]]) -> Credential:
    """The credential in the headers, whose names are in lower case. Raises Unauthenticated."""
    found = _read(headers)
    if found is None:
        raise Unauthenticated("no credentials: send a key as X-Chroma-Token, or as Authorization: Bearer or Basic")
    return found


def _read(headers: Iterable[tuple[bytes, bytes]]) -> Credential | None:
    """None where there is none, or it cannot be read.

    A header that is given twice says nothing: who reads the first and who reads the last would not agree.
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
    return Credential(None, secret) if 0 < len(secret) <= _LONGEST else None


def _basic(value: bytes) -> Credential | None:
    if len(value) > _LONGEST:
        return None
    try:
        user, colon, secret = base64.b64decode(value.strip(), validate=True).partition(b":")
    except binascii.Error:
        return None
    return Credential(user, secret) if colon else None
