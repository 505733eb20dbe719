"""Users of an htpasswd file, and the one static token: both may do everything, as in Chroma before 1.0.

The file is read again when it has changed, so a user added or taken out needs no restart. One hash is computed at a
time: strangers cannot take more than one processor. A user who is not there is compared with somebody else's hash, so
that answers take as long.
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
    """One secret for everybody. Raises InvalidArgument where it is empty."""

    def __init__(self, token: str) -> None:
        if not token:
            raise InvalidArgument("AFTERGLOW_AUTH asks for a token, but AFTERGLOW_AUTH_TOKEN is not set")
        self._digest = hashlib.sha256(token.encode()).digest()

    def find(self, credential: Credential) -> Grant | None:
        """Everything, for the token."""
        given = hashlib.sha256(credential.secret).digest()
        return Grant(_ANONYMOUS, Role.ADMIN, None, None) if hmac.compare_digest(given, self._digest) else None


class PasswordFile:
    """An htpasswd file. Raises InvalidArgument where it cannot be read, or has a line that is none."""

    def __init__(self, path: str, system: System) -> None:
        if not path:
            raise InvalidArgument("AFTERGLOW_AUTH asks for htpasswd, but AFTERGLOW_AUTH_FILE is not set")
        self._path = Path(path)
        self._lock = threading.Lock()
        self._random = system.random.randbytes(32)
        self._right: OrderedDict[bytes, bytes] = OrderedDict()
        """By fingerprint of a credential, the hash that it was found to have."""
        self._users: dict[bytes, bytes] = {}
        self._stamp: tuple[int, int, int] | None = None
        try:
            self._read()
        except Unavailable as error:
            raise InvalidArgument(error.message) from error

    def find(self, credential: Credential) -> Grant | None:
        """Everything, for a user with the right password. Raises Unavailable, InvalidArgument: the file is bad."""
        if credential.user is None:
            return None
        with self._lock:
            self._read()
            hashed = self._users.get(credential.user)
            fingerprint = credential.fingerprint(self._random)
            if hashed is None or self._right.get(fingerprint) != hashed:
                decoy = next(iter(self._users.values()))
                is_right = password_hashes.matches(credential.secret, decoy if hashed is None else hashed)
                if hashed is None or not is_right:
                    return None
                self._right[fingerprint] = hashed
                if len(self._right) > _CACHE_ENTRIES:
                    self._right.popitem(last=False)
        return Grant(credential.user.decode(errors="replace"), Role.ADMIN, None, None)

    def _read(self) -> None:
        """Read the file if it is not as it was."""
        try:
            about = self._path.stat()
            stamp = (about.st_mtime_ns, about.st_size, about.st_ino)
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
                    wanted = "a user and a bcrypt, MD5 or SHA-1 hash, as `htpasswd -B` writes them"
                    raise InvalidArgument(f"{self._path}, line {number}: not {wanted}")
                users[user] = hashed
        if not users:
            raise InvalidArgument(f"{self._path}: there is no user in it; `htpasswd -B` adds one")
        self._users, self._stamp = users, stamp
