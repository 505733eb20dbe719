"""Log positions as numbers that tell nothing, for callers who must not count the writes of others.

A position is encrypted with a secret of the deployment, 32 random bytes that are made when they are first needed::

    pk                  sk      value
    HIDDEN_POSITIONS    SECRET  {"format", "secret"}

Chroma's clients accept a number below 2**53, which JavaScript holds exactly. So the position (32 bits) and a salt (21
bits) are encrypted together, as one of these numbers, by a keyed permutation of them. A number is valid for one purpose
only, such as the reads of one collection.

The salt counts from a random start in each process, so a process makes two million numbers that all differ, also of the
same position: neither order nor equality of positions can be seen. There is no tag: any number is some position. The
caller must refuse all but the last few thousand of the log, each in the same way; then a guess is one of them with a
probability of 1 to 260,000.

Source of the algorithm: the unbalanced Feistel network of FF1 with its ten rounds (NIST SP 800-38G), on bits instead of
decimals, with keyed BLAKE2b (RFC 7693) as the pseudorandom function.
"""

import hashlib
import itertools
from collections.abc import Iterator

import orjson

from afterglow.errors import LimitExceeded, UnsupportedFormat
from afterglow.settings import System
from afterglow.storage.ports import ConditionFailed, Item, Table

FORMAT = 1
_PARTITION = "HIDDEN_POSITIONS"
_ITEM = "SECRET"
_POSITION_BITS, _SALT_BITS = 32, 21
_NUMBERS = 1 << _POSITION_BITS + _SALT_BITS
_LEFT_BITS, _RIGHT_BITS = 26, 27
_ROUNDS = 10


class HiddenPositions:
    """Hides the positions of one deployment. Thread-safe: two threads at worst read the same secret twice."""

    def __init__(self, table: Table, system: System) -> None:
        self._table = table
        self._system = system
        self._secret: bytes | None = None
        self._salts: Iterator[int] | None = None

    def hide(self, position: int, purpose: str) -> int:
        """A number from 1 to 2**53 - 1 for the position, another one each time. Raises LimitExceeded, Unavailable."""
        if position >= 1 << _POSITION_BITS:
            raise LimitExceeded(f"position {position} of the log cannot be hidden: the limit is 2**{_POSITION_BITS}")
        if self._salts is None:
            self._salts = itertools.count(self._system.random.getrandbits(_SALT_BITS))
        number = 0
        while number == 0:  # the clients refuse it
            salt = next(self._salts) % (1 << _SALT_BITS)
            number = self._encrypt(position << _SALT_BITS | salt, purpose)
        return number

    def find(self, number: int, purpose: str) -> int | None:
        """The position of a number that was made for this purpose, of any other one an arbitrary one or None.

        Raises Unavailable.
        """
        return self._decrypt(number, purpose) >> _SALT_BITS if 0 < number < _NUMBERS else None

    def _encrypt(self, block: int, purpose: str) -> int:
        left, right, bits = block >> _RIGHT_BITS, block % (1 << _RIGHT_BITS), _LEFT_BITS
        for number in range(_ROUNDS):
            left, right = right, left ^ self._round(number, right, bits, purpose)
            bits = _LEFT_BITS + _RIGHT_BITS - bits
        return left << _RIGHT_BITS | right

    def _decrypt(self, block: int, purpose: str) -> int:
        left, right, bits = block >> _RIGHT_BITS, block % (1 << _RIGHT_BITS), _RIGHT_BITS
        for number in reversed(range(_ROUNDS)):
            left, right = right ^ self._round(number, left, bits, purpose), left
            bits = _LEFT_BITS + _RIGHT_BITS - bits
        return left << _RIGHT_BITS | right

    def _round(self, number: int, half: int, bits: int, purpose: str) -> int:
        """The bits to combine with the other half in one round."""
        content = bytes([number]) + half.to_bytes(4) + purpose.encode()
        digest = hashlib.blake2b(content, key=self._load(), digest_size=4, person=b"round").digest()
        return int.from_bytes(digest) >> (32 - bits)

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


def _decode(item: Item) -> bytes:
    fields = orjson.loads(item.value)
    if fields["format"] != FORMAT:
        raise UnsupportedFormat(f"{item.pk}/{item.sk}", fields["format"], FORMAT)
    return bytes.fromhex(fields["secret"])
