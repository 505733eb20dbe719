"""Authentication and authorization: credentials, the grants they map to, and the authenticator of every request.

**Information hiding.** A caller is anonymous, or has a credential for a role in a scope (`permissions`). An anonymous
caller gets what is public (clock, version, readiness, limits) and nothing else: the existence of a tenant, a database,
a collection or a key is hidden from callers outside its scope. Names in a path or a query are checked by name alone,
before any lookup. A collection id that leads outside the scope gets the response of a missing collection, after the
same requests to the table. Credentials are compared as digests and in constant time; an unknown key takes as much
comparison as a known one. TLS is the task of a proxy in front.

**Storage.** An API key is stored only as its SHA-256: a key has 256 random bits, which cannot be guessed, so a slow
hash would add no protection and slow down every cold request. Passwords are chosen by people: htpasswd files have them
as bcrypt or as the older hashes of the `htpasswd` program. Neither is ever logged; in memory they exist only as digests
under a random key of the process.

**Cost.** A decision is cached for `auth_cache_seconds`, without a read of the table. A cold credential costs one
strongly consistent read of its key, or one password hash. Cached decisions always expire: a revoked key or a removed
user is rejected everywhere after that time at the latest, and if the table does not respond then, the result is 503,
not access.

**Guessing.** Each process limits the unknown credentials per minute and address (`rate_limit`), with ten times that
limit for all addresses together. Rejections are cached as well. Counters are not shared, so an attacker gets that limit
per process, against 256 bits. Known credentials are never delayed by the limit.
"""

from afterglow.auth.permissions import ANONYMOUS, FULL_ACCESS, Grant, Permission, Role

__all__ = ["ANONYMOUS", "FULL_ACCESS", "Grant", "Permission", "Role"]
