"""API keys: random, shown once, stored in the table as a hash.

A key is `ag`, 12 characters of id and 43 of secret, all from `[0-9A-Za-z]`: old clients reject other characters in a
token. The secret has 256 bits; the id is public and identifies the key in lists and logs. Items of the table::

    pk      sk      value
    KEYS    <id>    {"format", "hash", "name", "role", "tenant", "databases", "created", "creator"}

`hash` is the SHA-256 of the whole key; `creator` is missing in older items. A key with filters has format 2 and
"wheres", pairs of a collection's name and a `where` clause: a release that knows no filters refuses it instead of
giving access to everything. Keys survive a reset, although it deletes the data they give access to.
"""

import hashlib
import hmac
import re
import string
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from afterglow.auth import attenuation
from afterglow.auth.credentials import Credential
from afterglow.auth.permissions import Grant, Role, Wheres
from afterglow.catalog import names
from afterglow.errors import Corrupt, InvalidArgument, NotFound
from afterglow.settings import System
from afterglow.storage.ports import ConditionFailed, Item, Table

FORMAT = 1
FILTER_FORMAT = 2
_PARTITION = "KEYS"
_CHARACTERS = string.digits + string.ascii_letters
_ID_LENGTH = 12
_SECRET_LENGTH = 43
_ID = re.compile(rf"[0-9A-Za-z]{{{_ID_LENGTH}}}")
_LONGEST_NAME = 100
_NO_HASH = "0" * 64
_MAX_BYTES = 100_000
"""Maximum bytes of an item: a store's limit is above it."""


@dataclass(frozen=True, slots=True)
class Key:
    """An API key without its secret. `tenant` None: every tenant; `databases` None: every database of the scope."""

    id: str
    hash: str
    """SHA-256 of the key, in hex."""
    name: str
    """A label chosen by the owner."""
    role: Role
    tenant: str | None
    databases: tuple[str, ...] | None
    created: int
    """Unix seconds."""
    wheres: Wheres | None = None
    """The filters by collection, see `Grant`; None: a key without filters."""
    creator: str | None = None
    """The user who created it over HTTP: the id of another key, or a name; None: the command line."""

    @property
    def grant(self) -> Grant:
        """The grant of the key's holder."""
        databases = None if self.databases is None else frozenset(self.databases)
        return Grant(self.id, self.role, self.tenant, databases, self.wheres)


class Keys:
    """The API keys in one table."""

    def __init__(self, table: Table, system: System) -> None:
        self._table = table
        self._system = system

    def create(
        self,
        role: Role,
        tenant: str | None,
        databases: Iterable[str] | None = None,
        name: str = "",
        wheres: Wheres | None = None,
        *,
        creator: str | None = None,
    ) -> tuple[str, Key]:
        """Create a key; return its text, which is not stored, and its description.

        The caller has checked the clauses of `wheres` (`collection.restriction`). Raises InvalidArgument.
        """
        sorted_databases = None if databases is None else tuple(sorted(set(databases)))
        _validate(tenant, sorted_databases, name)
        if wheres is not None and (role is Role.ADMIN or not wheres):
            raise InvalidArgument("a key with filters is that of a reader or a writer, and has at least one filter")
        identifier = self._random_text(_ID_LENGTH)
        text = f"ag{identifier}{self._random_text(_SECRET_LENGTH)}"
        created = int(self._system.now())
        key = Key(identifier, _hash(text.encode()), name, role, tenant, sorted_databases, created, wheres, creator)
        value = _encode(key)
        if len(value) > _MAX_BYTES:
            raise InvalidArgument(f"databases and filters of a key have at most {_MAX_BYTES:,} bytes in all")
        try:
            self._table.put(_PARTITION, identifier, value, if_absent=True)
        except ConditionFailed as conflict:
            if conflict.existing is None or conflict.existing.value != value:
                raise
            # An earlier attempt with a lost response had succeeded.
        return text, key

    def list(self) -> list[Key]:
        """Return all keys, oldest first."""
        keys = [_decode(item) for item in self._table.query(_PARTITION)]
        return sorted(keys, key=lambda key: (key.created, key.id))

    def get(self, identifier: str) -> Key:
        """Return the key with this id. Raises NotFound."""
        return _decode(self._item(identifier))

    def revoke(self, identifier: str) -> Key:
        """Delete the key with this id. Raises NotFound."""
        item = self._item(identifier)
        self._table.delete(_PARTITION, identifier)
        return _decode(item)

    def _item(self, identifier: str) -> Item:
        item = self._table.get(_PARTITION, identifier) if _ID.fullmatch(identifier) else None
        if item is None:
            raise not_found(identifier)
        return item

    def find(self, credential: Credential) -> Grant | None:
        """Return the grant of the key in this credential, None when it is not a valid key. One read of the table.

        An attenuated key has that of its stored key, narrowed (`auth.attenuation`).

        With Basic authentication the key is the password, whatever the user; or the user, if the password is empty.
        """
        secret = credential.secret or credential.user or b""
        match = attenuation.KEY.fullmatch(secret) or attenuation.ATTENUATED.fullmatch(secret)
        if match is None:
            return None
        item = self._table.get(_PARTITION, match[1].decode())
        key = None if item is None else _decode(item)
        if match.re is attenuation.ATTENUATED:
            caveats = attenuation.verify(secret, _NO_HASH if key is None else key.hash)
            return None if key is None or caveats is None else attenuation.narrow(key.grant, caveats)
        is_equal = hmac.compare_digest(_hash(secret), _NO_HASH if key is None else key.hash)
        return key.grant if is_equal and key is not None else None

    def _random_text(self, length: int) -> str:
        return "".join(self._system.random.choices(_CHARACTERS, k=length))


def not_found(identifier: str) -> NotFound:
    """The error for a key that does not exist, or not for the caller."""
    return NotFound(f"no key has the id {identifier!r}; `afterglow keys list` shows all keys")


def _hash(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()


def _validate(tenant: str | None, databases: tuple[str, ...] | None, name: str) -> None:
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidArgument(f"the name of a key has at most {_LONGEST_NAME} printable characters, got {name!r}")
    if tenant is not None:
        names.validate_tenant_name(tenant)
    for database in databases or ():
        if tenant is None:
            raise InvalidArgument(f"a key for database {database!r} needs the tenant of the database, not every tenant")
        names.validate_name(database)
    if databases == ():
        raise InvalidArgument("a key needs at least one database; omit databases for all of them")


def _encode(key: Key) -> bytes:
    value: dict[str, Any] = {
        "format": FORMAT,
        "hash": key.hash,
        "name": key.name,
        "role": key.role.name.lower(),
        "tenant": key.tenant,
        "databases": key.databases,
        "created": key.created,
        "creator": key.creator,
    }
    if key.wheres is not None:
        value["format"] = FILTER_FORMAT
        value["wheres"] = [(name, orjson.Fragment(where)) for name, where in key.wheres]
    return orjson.dumps(value)


def _decode(item: Item) -> Key:
    try:
        value = orjson.loads(item.value)
        if value["format"] not in (FORMAT, FILTER_FORMAT):
            raise Corrupt(f"key {item.sk} has format {value['format']}, this version reads up to {FILTER_FORMAT}")
        wheres = None
        if value["format"] == FILTER_FORMAT:
            wheres = tuple((name, orjson.dumps(where)) for name, where in value["wheres"])
        databases = value["databases"]
        return Key(
            id=item.sk,
            hash=value["hash"],
            name=value["name"],
            role=Role[value["role"].upper()],
            tenant=value["tenant"],
            databases=None if databases is None else tuple(databases),
            created=value["created"],
            wheres=wheres,
            creator=value.get("creator"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"key {item.sk} cannot be read: {error}; revoke it and create another") from error
