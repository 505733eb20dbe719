"""The checksum of an item of the table, stored with it: SQLite detects damage to its structure, not to values.

It is xxh3-64 over the key, the version, the expiry and the value, as a signed integer, which is what SQLite stores.
Items of tables of format 2 have none until they are next written.
"""

import xxhash

from afterglow.errors import Corrupt
from afterglow.storage.ports import Item

ADVICE = "restore the directory from a backup; `afterglow verify` lists everything that is damaged"
_SIGN_BIT = 1 << 63


def checksum(pk: str, sk: str, value: bytes, version: int, expires_at: int | None) -> int:
    """The checksum of an item with these fields."""
    digest = xxhash.xxh3_64(f"{pk}\0{sk}\0{version}\0{expires_at}\0".encode(errors="surrogateescape"))
    digest.update(value)
    number = digest.intdigest()
    return number - 2 * _SIGN_BIT if number >= _SIGN_BIT else number


def is_intact(item: Item, stored: int | None) -> bool:
    """Whether an item matches its stored checksum; None: it has none."""
    if stored is None:
        return True
    values: tuple[object, ...] = (item.pk, item.sk, item.value)
    # A flipped bit can turn the type of a column into another one.
    has_types = tuple(map(type, values)) == (str, str, bytes)
    return has_types and checksum(item.pk, item.sk, item.value, item.version, item.expires_at) == stored


def verified(item: Item, stored: int | None, table: str) -> Item:
    """The item itself. Raises Corrupt if it does not match its stored checksum."""
    if not is_intact(item, stored):
        raise Corrupt(f"item {item.pk} {item.sk} of {table} does not match its checksum: {ADVICE}")
    return item
