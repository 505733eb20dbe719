"""The users of an htpasswd file, and the static token: both have full access, as in Chroma before 1.0.

A changed file is read again, so adding or removing a user needs no restart. One hash is computed at a time: anonymous
callers cannot use more than one processor. The password of an unknown user is compared with another user's hash, so
that responses take the same time.
"""

import hashlib
import hmac
import threading
from collections import OrderedDict
from pathlib import Path

from afterglow.auth import password_hashes
from afterglow.auth.credentials import Credential
from afterglow.auth.permissions import Grant, Role
from afterglow.errors import InvalidArgument, Unavailable
from afterglow.settings import System

_CACHE_ENTRIES = 1024
_ANONYMOUS = "anonymous"


class StaticToken:
    """One secret for all callers. Raises InvalidArgument when it is empty."""

    def __init__(self, token: str) -> None:
        if not token:
            raise InvalidArgument("AFTERGLOW_AUTH is token, but AFTERGLOW_AUTH_TOKEN is not set")
        self._digest = hashlib.sha256(token.encode()).digest()

    def find(self, credential: Credential) -> Grant | None:
        """Return a grant of full access for the token."""
        digest = hashlib.sha256(credential.secret).digest()
        return Grant(_ANONYMOUS, Role.ADMIN, None, None) if hmac.compare_digest(digest, self._digest) else None


class PasswordFile:
    """An htpasswd file. Raises InvalidArgument when it is unreadable or has an invalid line."""

    def __init__(self, path: str, system: System) -> None:
        if not path:
            raise InvalidArgument("AFTERGLOW_AUTH is htpasswd, but AFTERGLOW_AUTH_FILE is not set")
        self._path = Path(path)
        self._lock = threading.Lock()
        self._random = system.random.randbytes(32)
        self._verified: OrderedDict[bytes, bytes] = OrderedDict()
        """Fingerprints of valid credentials, with the hash that each was verified against."""
        self._users: dict[bytes, bytes] = {}
        self._stamp: tuple[int, int, int] | None = None
        try:
            self._read()
        except Unavailable as error:
            raise InvalidArgument(error.message) from error

    def find(self, credential: Credential) -> Grant | None:
        """Return a grant of full access for a user with the right password. Raises Unavailable, InvalidArgument."""
        if credential.user is None:
            return None
        with self._lock:
            self._read()
            hashed = self._users.get(credential.user)
            fingerprint = credential.fingerprint(self._random)
            if hashed is None or self._verified.get(fingerprint) != hashed:
                decoy = next(iter(self._users.values()))
                is_valid = password_hashes.matches(credential.secret, decoy if hashed is None else hashed)
                if hashed is None or not is_valid:
                    return None
                self._verified[fingerprint] = hashed
                if len(self._verified) > _CACHE_ENTRIES:
                    self._verified.popitem(last=False)
        return Grant(credential.user.decode(errors="replace"), Role.ADMIN, None, None)

    def _read(self) -> None:
        """Read the file if it has changed."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._stamp:
                return
            lines = self._path.read_bytes().splitlines()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Unavailable(f"the password file {self._path} cannot be read: {reason}") from error
        users: dict[bytes, bytes] = {}
        for number, line in enumerate(lines, 1):
            user, colon, hashed = line.strip().partition(b":")
            if line.strip() and not line.startswith(b"#"):
                if not colon or not password_hashes.is_known(hashed):
                    expected = "a user and a bcrypt, MD5 or SHA-1 hash, as `htpasswd -B` writes them"
                    raise InvalidArgument(f"{self._path}, line {number}: not {expected}")
                users[user] = hashed
        if not users:
            raise InvalidArgument(f"{self._path}: the file has no users; `htpasswd -B` adds one")
        self._users, self._stamp = users, stamp
