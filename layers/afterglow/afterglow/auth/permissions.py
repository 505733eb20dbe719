"""Who may do what: the needs of routes, the roles of callers, and the decision between the two.

A grant is a role within a scope: all tenants, one tenant, or some databases of one tenant. What is outside a scope does
not exist for its holder: `allows` decides by names alone, before anything is looked up, and `sees` tells handlers that
look things up what they must treat as not there.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum


class Permission(Enum):
    """What a route asks of its caller."""

    PUBLIC = "public"
    """Nothing: whoever knows the address."""
    AUTHENTICATED = "known"
    """A valid credential, whatever its role and scope."""
    READ = "read"
    WRITE = "write"
    """Records, and collections as a whole."""
    ADMIN = "admin"
    """Databases, tenants, and deleting everything."""


class Role(IntEnum):
    """What a caller may do within its scope; each may do what those before it may."""

    READER = 1
    WRITER = 2
    ADMIN = 3


_LEAST = {Permission.READ: Role.READER, Permission.WRITE: Role.WRITER, Permission.ADMIN: Role.ADMIN}


@dataclass(frozen=True, slots=True)
class Grant:
    """What one caller may do. `tenant` None: every tenant; `databases` None: every database of the scope."""

    user: str
    """What logs and `/auth/identity` call the caller: the key's id, or the user of a password."""
    role: Role | None
    tenant: str | None
    databases: frozenset[str] | None

    def allows(self, need: Permission, tenant: str | None = None, database: str | None = None) -> bool:
        """Whether a request may go on that is about this tenant and database (None: not one in particular).

        What is about a tenant as a whole may be read by who has a part of it, and the answer is then about that part.
        """
        if need is Permission.PUBLIC:
            return True
        if self.role is None:
            return False
        if need is Permission.AUTHENTICATED:
            return True
        if self.role < _LEAST[need]:
            return False
        if tenant is None:
            return self.tenant is None
        if database is None:
            return self.tenant in (None, tenant) and (need is Permission.READ or self.databases is None)
        return self.can_see(tenant, database)

    def has_role(self, need: Permission) -> bool:
        """Whether the role is enough, wherever it may be used."""
        return need is Permission.PUBLIC or (
            self.role is not None and (need is Permission.AUTHENTICATED or self.role >= _LEAST[need])
        )

    def can_see(self, tenant: str, database: str) -> bool:
        """Whether this database, there or not, is in the scope."""
        if self.role is None or self.tenant not in (None, tenant):
            return False
        return self.databases is None or database in self.databases


FULL_ACCESS = Grant("", Role.ADMIN, None, None)
"""What everybody may do where nobody is asked who they are."""
ANONYMOUS = Grant("", None, None, frozenset())
"""What a caller may do who has not been let in."""
