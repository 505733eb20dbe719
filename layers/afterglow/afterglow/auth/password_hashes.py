"""Password hashes as the `htpasswd` program writes them: bcrypt (`-B`), MD5 in Apache's own form (its default), SHA-1.

Use bcrypt. The other two are supported for existing files.
"""

import base64
import hashlib
import hmac
import re

_BCRYPT = re.compile(rb"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}")
_APR1 = re.compile(rb"\$apr1\$([./A-Za-z0-9]{1,8})\$[./A-Za-z0-9]{22}")
_SHA1 = re.compile(rb"\{SHA\}[A-Za-z0-9+/]{27}=")
_BCRYPT_MAX_BYTES = 72
"""Bytes of a password that bcrypt uses; the library rejects longer ones."""
_ALPHABET = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def is_known(hashed: bytes) -> bool:
    """Whether it is a hash of one of the three types."""
    return any(pattern.fullmatch(hashed) for pattern in (_BCRYPT, _APR1, _SHA1))


def matches(password: bytes, hashed: bytes) -> bool:
    """Whether the password has this hash, which must be of a known type. Takes 5 to 1,000 ms with bcrypt."""
    if _BCRYPT.fullmatch(hashed):
        # Imported on use: a server without a password file does not need bcrypt.
        import bcrypt

        return bcrypt.checkpw(password[:_BCRYPT_MAX_BYTES], hashed)
    salt = _APR1.fullmatch(hashed)
    if salt is not None:
        return hmac.compare_digest(apr1(password, salt[1]), hashed)
    digest = hashlib.sha1(password, usedforsecurity=False).digest()
    return hmac.compare_digest(b"{SHA}" + base64.b64encode(digest), hashed)


def apr1(password: bytes, salt: bytes) -> bytes:
    """Apache's MD5 hash: Poul-Henning Kamp's md5crypt of FreeBSD with another magic string.

    The steps follow `apr_md5_encode` of the Apache Portable Runtime.
    """
    inner = _md5(password + salt + password)
    text = password + b"$apr1$" + salt
    text += (inner * (len(password) // 16 + 1))[: len(password)]
    bits = len(password)
    while bits:
        text += b"\0" if bits & 1 else password[:1]
        bits >>= 1
    final = _md5(text)
    for turn in range(1000):
        step = password if turn & 1 else final
        step += salt if turn % 3 else b""
        step += password if turn % 7 else b""
        step += final if turn & 1 else password
        final = _md5(step)
    return b"$apr1$" + salt + b"$" + _encode(final)


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _encode(digest: bytes) -> bytes:
    """Encode 16 bytes in md5crypt's order and alphabet: five groups of three bytes, then one byte."""
    encoded = bytearray()
    for first in range(5):
        third = 5 if first == 4 else first + 12
        number = digest[first] << 16 | digest[first + 6] << 8 | digest[third]
        encoded += bytes(_ALPHABET[number >> shift & 63] for shift in (0, 6, 12, 18))
    return bytes(encoded + bytes(_ALPHABET[digest[11] >> shift & 63] for shift in (0, 6)))
