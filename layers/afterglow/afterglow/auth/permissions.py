"""Permissions of routes, roles of callers, and the decision whether a role has a permission.

A grant is a role within a scope: all tenants, one tenant, or some databases of one tenant. Resources outside a scope do
not exist for its holder: `allows` decides by names alone, before any lookup, and handlers that look up resources treat
those for which `can_see` is false as missing.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum


class Permission(Enum):
    """The permission that a route requires."""

    PUBLIC = "public"
    """No credential."""
    AUTHENTICATED = "known"
    """A valid credential, whatever its role and scope."""
    READ = "read"
    WRITE = "write"
    """Records, and collections as a whole."""
    ADMIN = "admin"
    """Databases, tenants, and deleting everything."""


class Role(IntEnum):
    """A caller's role within its scope; each includes the roles before it."""

    READER = 1
    WRITER = 2
    ADMIN = 3


Wheres = tuple[tuple[str, bytes], ...]
"""A `where` clause as JSON for each collection, by name; `*` is for every other one."""

_MIN_ROLE = {Permission.READ: Role.READER, Permission.WRITE: Role.WRITER, Permission.ADMIN: Role.ADMIN}


@dataclass(frozen=True, slots=True)
class Grant:
    """The rights of a caller. `tenant` None: every tenant; `databases` None: every database of the scope."""

    user: str
    """The caller's name in logs and in `/auth/identity`: the key's id, or the user of a password."""
    role: Role | None
    tenant: str | None
    databases: frozenset[str] | None
    wheres: Wheres | None = None
    """The filters of the caller's key; None: it sees every record of its scope. The routes that it may use declare a
    handler for it (`api.http.route`)."""
    expires: int | None = None
    """Unix seconds after which the grant is over; None: never."""
    is_attenuated: bool = False
    """Whether it is that of an attenuated key (`auth.attenuation`), which creates no keys."""

    def allows(self, permission: Permission, tenant: str | None = None, database: str | None = None) -> bool:
        """Whether a request to this tenant and database is permitted (None: not a particular one).

        Routes of a whole tenant can be read with a scope of some of its databases; the response has only these.
        """
        if permission is Permission.PUBLIC:
            return True
        if self.role is None:
            return False
        if permission is Permission.AUTHENTICATED:
            return True
        if self.role < _MIN_ROLE[permission]:
            return False
        if tenant is None:
            return self.tenant is None
        if database is None:
            return self.tenant in (None, tenant) and (permission is Permission.READ or self.databases is None)
        return self.can_see(tenant, database)

    def has_role(self, permission: Permission) -> bool:
        """Whether the role has the permission, regardless of the scope."""
        return permission is Permission.PUBLIC or (
            self.role is not None and (permission is Permission.AUTHENTICATED or self.role >= _MIN_ROLE[permission])
        )

    def can_see(self, tenant: str, database: str) -> bool:
        """Whether this database, existing or not, is in the scope."""
        if self.role is None or self.tenant not in (None, tenant):
            return False
        return self.databases is None or database in self.databases


FULL_ACCESS = Grant("", Role.ADMIN, None, None)
"""The grant of every caller when authentication is off."""
ANONYMOUS = Grant("", None, None, frozenset())
"""The grant of an unauthenticated caller."""
