"""Log positions as text that tells nothing, for callers who must not count the writes of others.

A position is encrypted and authenticated with a secret of the deployment, 32 random bytes that are made when they are
first needed::

    pk                  sk      value
    HIDDEN_POSITIONS    SECRET  {"format", "secret"}

The text is URL-safe base64 of a random nonce (16 bytes), the encrypted position (8) and a tag (16). Each text is
another one, also of the same position: so neither order nor equality of two positions can be seen. It is valid for one
purpose only, such as the reads of one collection.

Source of the algorithm: encrypt-then-MAC (Bellare & Namprempre 2000) with keyed BLAKE2b (RFC 7693) as the pseudorandom
function.
"""

import base64
import hashlib
import hmac
import re

import orjson

from afterglow.errors import UnsupportedFormat
from afterglow.settings import System
from afterglow.storage.ports import ConditionFailed, Item, Table

FORMAT = 1
_PARTITION = "HIDDEN_POSITIONS"
_ITEM = "SECRET"
_NONCE_BYTES, _POSITION_BYTES, _TAG_BYTES = 16, 8, 16
_TEXT = re.compile(r"[0-9A-Za-z_-]{54}")
_PADDING = "=="


class HiddenPositions:
    """Hides the positions of one deployment. Thread-safe: two threads at worst read the same secret twice."""

    def __init__(self, table: Table, system: System) -> None:
        self._table = table
        self._system = system
        self._secret: bytes | None = None

    def hide(self, position: int, purpose: str) -> str:
        """A text for the position, another one each time. Raises Unavailable."""
        nonce = self._system.random.randbytes(_NONCE_BYTES)
        encrypted = nonce + self._encrypt(position.to_bytes(_POSITION_BYTES), nonce, purpose)
        return _encode(encrypted + self._tag(encrypted, purpose))

    def find(self, text: str, purpose: str) -> int | None:
        """The position of a text that was made for this purpose, None for any other text. Raises Unavailable."""
        if _TEXT.fullmatch(text) is None:
            return None
        decoded = base64.urlsafe_b64decode(text + _PADDING)
        encrypted, tag = decoded[:-_TAG_BYTES], decoded[-_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(encrypted, purpose)) or _encode(decoded) != text:
            return None
        nonce = encrypted[:_NONCE_BYTES]
        return int.from_bytes(self._encrypt(encrypted[_NONCE_BYTES:], nonce, purpose))

    def _encrypt(self, content: bytes, nonce: bytes, purpose: str) -> bytes:
        """The content XOR the key stream of the nonce: encrypts and decrypts."""
        stream = self._digest(b"encrypt", nonce + purpose.encode(), _POSITION_BYTES)
        return bytes(one ^ other for one, other in zip(content, stream, strict=True))

    def _tag(self, encrypted: bytes, purpose: str) -> bytes:
        return self._digest(b"tag", encrypted + purpose.encode(), _TAG_BYTES)

    def _digest(self, person: bytes, content: bytes, size: int) -> bytes:
        return hashlib.blake2b(content, key=self._load(), digest_size=size, person=person).digest()

    def _load(self) -> bytes:
        """The secret; the first caller of a deployment makes it."""
        if self._secret is None:
            item = self._table.get(_PARTITION, _ITEM)
            self._secret = self._create() if item is None else _decode(item)
        return self._secret

    def _create(self) -> bytes:
        secret = self._system.random.randbytes(32)
        value = orjson.dumps({"format": FORMAT, "secret": secret.hex()})
        try:
            self._table.put(_PARTITION, _ITEM, value, if_absent=True)
        except ConditionFailed as conflict:
            if conflict.existing is None:
                raise
            return _decode(conflict.existing)
        return secret


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decode(item: Item) -> bytes:
    fields = orjson.loads(item.value)
    if fields["format"] != FORMAT:
        raise UnsupportedFormat(f"{item.pk}/{item.sk}", fields["format"], FORMAT)
    return bytes.fromhex(fields["secret"])
