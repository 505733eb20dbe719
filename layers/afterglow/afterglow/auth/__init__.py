"""Who may call: credentials, the grants they stand for, and the gate that every request passes.

**What is kept from whom.** A caller is a stranger, or holds a credential for a role in a scope (`model`). A stranger
learns what is public (clock, version, readiness, limits) and nothing else: whether a tenant, a database, a collection
or a key exists is told to nobody outside its scope. What a path or a query names is judged by names alone, before
anything is looked up; what a collection's id leads to outside the scope is answered as if it were not there, after the
same calls to the table. Credentials are compared as digests and in constant time, and a key that is not there is
compared with as much as one that is. TLS is left to what stands in front.

**What is stored.** Of an API key its SHA-256 alone: a key has 256 random bits, which nobody finds by trying, so a slow
hash would protect nothing and cost every cold request its time. Passwords are what people make up: htpasswd files hold
them as bcrypt, or as the older hashes of the `htpasswd` program. Neither is ever logged, or kept in memory but as a
digest under a random key of the process.

**What a request costs.** A credential seen within `auth_cache_seconds` is decided from memory, without the table. A
cold one costs one strongly consistent read of its key, or one password hash. Trust ends after that time whatever
happens: a revoked key, or a user taken out of the file, is refused everywhere no later than that, and a table that does
not answer then is a 503, not a pass.

**Guessing.** Each process lets an address try so many credentials a minute that it does not know (`throttle`), refusals
are remembered as well, and all addresses together get ten times as many: no counter is shared, so an attacker gets that
per process, against 256 bits. Whoever is known already is never held up by it.
"""

from afterglow.auth.permissions import ANONYMOUS, FULL_ACCESS, Grant, Permission, Role

__all__ = ["ANONYMOUS", "FULL_ACCESS", "Grant", "Permission", "Role"]
