"""Attenuated keys: made by the holder of a key, without a server, with fewer rights and a shorter life (macaroons).

Nothing of an attenuated key is stored. It is `at`, the id of the stored key, and in base32 the **caveats** and a
signature, a chain of HMAC-SHA256 (Birgisson et al. 2014):

1. s(0) is the HMAC of the id under the SHA-256 of the whole stored key. The holder of the key computes it from the
   key, the server from the hash that it stores.
2. Each caveat, one JSON object, extends the chain: s(n) is the HMAC of the caveat under s(n-1).
3. The attenuated key has all caveats and the last s. So its holder can add a caveat, but cannot remove one, because
   that needs an earlier s.
4. The server computes the chain anew, compares the last s, and narrows the grant of the stored key by each caveat. A
   caveat that it does not know, or that cannot be met, makes the key invalid.

An attenuated key is revoked with its stored key, and creates no keys. *Whoever reads the hashes in the table can sign
attenuated keys of theirs, though not recover the keys: a leaked table means that its keys must be replaced.*

The caveats: `role`; `tenant`; `databases`; `filters`, a `where` clause for each collection, which applies besides the
filters of the key; `expires`, Unix seconds.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from afterglow.auth.permissions import Grant, Role, Wheres
from afterglow.errors import InvalidArgument

KEY = re.compile(rb"ag([0-9A-Za-z]{12})[0-9A-Za-z]{43}")
"""A stored key, with its id."""
ATTENUATED = re.compile(rb"at([0-9A-Za-z]{12})([A-Z2-7]+)")
"""An attenuated key, with the id of its stored key."""
MAX_CHARACTERS = 2_900
"""Longer keys do not fit into the headers that a server reads, with Basic authentication."""

_CONTEXT = b"afterglow attenuated key 1:"
_SIGNATURE_BYTES = 32
_ANY = "*"
_FIELDS = frozenset({"role", "tenant", "databases", "filters", "expires"})


@dataclass(frozen=True, slots=True)
class Caveat:
    """A condition that every use of a key must meet; None: no condition."""

    role: Role | None = None
    tenant: str | None = None
    databases: tuple[str, ...] | None = None
    wheres: Wheres | None = None
    expires: int | None = None

    def encode(self) -> bytes:
        """The caveat as JSON."""
        values: dict[str, Any] = {
            "role": None if self.role is None else self.role.name.lower(),
            "tenant": self.tenant,
            "databases": self.databases,
            "filters": None if self.wheres is None else {name: orjson.Fragment(where) for name, where in self.wheres},
            "expires": self.expires,
        }
        return orjson.dumps({name: value for name, value in values.items() if value is not None})


def attenuate(key: str, caveat: Caveat) -> str:
    """The key, stored or attenuated, with one more caveat. Raises InvalidArgument."""
    encoded = caveat.encode()
    if encoded == b"{}":
        raise InvalidArgument("an attenuated key needs a condition: a role, tenant, database, filter or an expiry")
    text = key.encode()
    caveats: list[bytes] = []
    stored, attenuated = KEY.fullmatch(text), ATTENUATED.fullmatch(text)
    if stored is not None:
        identifier, signature = stored[1], _root(stored[1], hashlib.sha256(text).digest())
    elif attenuated is not None and (parts := _split(attenuated[2])) is not None:
        identifier, (caveats, signature) = attenuated[1], parts
    else:
        raise InvalidArgument("not an API key: keys begin with ag, attenuated ones with at")
    payload = b"".join(len(one).to_bytes(2, "big") + one for one in [*caveats, encoded])
    chain = base64.b32encode(payload + _extend(signature, encoded)).rstrip(b"=")
    if len(chain) > MAX_CHARACTERS:
        raise InvalidArgument(
            f"an attenuated key would have more than {MAX_CHARACTERS:,} characters: use fewer filters"
        )
    return f"at{identifier.decode()}{chain.decode()}"


def verify(secret: bytes, key_hash: str) -> list[Caveat] | None:
    """The caveats of an attenuated key of the stored key with this SHA-256 (hex); None if it is not valid."""
    match = ATTENUATED.fullmatch(secret)
    parts = None if match is None else _split(match[2])
    if match is None or parts is None:
        return None
    caveats, signature = parts
    expected = _root(match[1], bytes.fromhex(key_hash))
    for caveat in caveats:
        expected = _extend(expected, caveat)
    if not hmac.compare_digest(signature, expected):
        return None
    decoded = [_decode(caveat) for caveat in caveats]
    return None if None in decoded else [caveat for caveat in decoded if caveat is not None]


def narrow(grant: Grant, caveats: Sequence[Caveat]) -> Grant | None:
    """The grant with all caveats met; None if nothing is left of it."""
    for caveat in caveats:
        role = grant.role if caveat.role is None or grant.role is None else min(grant.role, caveat.role)
        if caveat.tenant is not None and grant.tenant not in (None, caveat.tenant):
            return None
        tenant = grant.tenant if caveat.tenant is None else caveat.tenant
        databases = grant.databases
        if caveat.databases is not None:
            databases = frozenset(caveat.databases) & (databases or frozenset(caveat.databases))
        wheres = grant.wheres if caveat.wheres is None else _both(grant.wheres, caveat.wheres)
        if databases == frozenset() or wheres == () or (databases is not None and tenant is None):
            return None
        if wheres is not None and role is Role.ADMIN:
            role = Role.WRITER
        expiries = [one for one in (grant.expires, caveat.expires) if one is not None]
        expires = min(expiries, default=None)
        grant = Grant(grant.user, role, tenant, databases, wheres, expires, is_attenuated=True)
    return replace(grant, is_attenuated=True)


def _root(identifier: bytes, key: bytes) -> bytes:
    return _extend(key, _CONTEXT + identifier)


def _extend(signature: bytes, text: bytes) -> bytes:
    return hmac.digest(signature, text, "sha256")


def _split(encoded: bytes) -> tuple[list[bytes], bytes] | None:
    """The caveats, at least one, and the signature; None unless this is the one encoding of them."""
    if len(encoded) > MAX_CHARACTERS:
        return None
    try:
        payload = base64.b32decode(encoded + b"=" * (-len(encoded) % 8))
    except binascii.Error:
        return None
    if base64.b32encode(payload).rstrip(b"=") != encoded:
        return None
    caveats, rest = [], payload
    while len(rest) > _SIGNATURE_BYTES:
        end = 2 + int.from_bytes(rest[:2], "big")
        if end == 2 or end + _SIGNATURE_BYTES > len(rest):
            return None
        caveats.append(rest[2:end])
        rest = rest[end:]
    return (caveats, rest) if caveats and len(rest) == _SIGNATURE_BYTES else None


def _decode(encoded: bytes) -> Caveat | None:
    """The caveat, None if it has anything that is not known here."""
    try:
        value = orjson.loads(encoded)
        if not isinstance(value, dict) or not value or not value.keys() <= _FIELDS:
            return None
        role, filters = value.get("role"), value.get("filters")
        caveat = Caveat(
            role=None if role is None else Role[role.upper()],
            tenant=value.get("tenant"),
            databases=_names(value.get("databases")),
            wheres=None if filters is None else tuple(sorted((name, orjson.dumps(filters[name])) for name in filters)),
            expires=value.get("expires"),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    if "tenant" in value and not isinstance(value["tenant"], str):
        return None
    return caveat if "expires" not in value or type(value["expires"]) is int else None


def _names(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError("names are a list of strings")
    return tuple(value)


def _both(first: Wheres | None, second: Wheres) -> Wheres:
    """The filters by which a record must match both; a collection that one of them has none for does not exist."""
    if first is None:
        return second
    mine, others = dict(first), dict(second)
    combined: list[tuple[str, bytes]] = []
    for name in sorted(mine.keys() | others.keys()):
        pair = [wheres.get(name, wheres.get(_ANY)) for wheres in (mine, others)]
        clauses = [orjson.Fragment(where) for where in pair if where is not None]
        if len(clauses) == len(pair):
            combined.append((name, orjson.dumps({"$and": clauses})))
    return tuple(combined)
