"""TTL of records: a collection's metadata may name the metadata key that has a record's expiry time.

`afterglow:ttl_key` in a collection's metadata names a metadata key of its records. A record with a number under that
key (an int or a float, Unix seconds) is invisible from that time on. A record without a number there never expires.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from afterglow.catalog.model import Collection
from afterglow.errors import InvalidArgument

TTL_KEY = "afterglow:ttl_key"


def ttl_key(metadata: Mapping[str, Any] | None) -> str | None:
    """Return the metadata key of the expiry time, None when records do not expire."""
    return None if metadata is None else metadata.get(TTL_KEY)


@dataclass(frozen=True, slots=True)
class NextExpiry:
    """Time of the first expiry in a checkpoint by the TTL key `key`, in Unix seconds; None: no record expires."""

    key: str
    at: float | None


def expires(existing: Collection, first: NextExpiry | None) -> float | None:
    """Return a collection's `next_expiry` for a checkpoint whose first expiry is `first`; None: unchanged."""
    return existing.next_expiry if first is None or first.key != ttl_key(existing.metadata) else first.at


def unknown_expiry(metadata: Mapping[str, Any] | None) -> float | None:
    """Return a collection's `next_expiry` while the first expiry is unknown: 0, so that the next sweep checks it."""
    return None if ttl_key(metadata) is None else 0.0


def validate(metadata: Mapping[str, Any] | None) -> None:
    """Raise InvalidArgument when the metadata of a collection names an invalid TTL key."""
    if metadata is None or TTL_KEY not in metadata:
        return
    key = metadata[TTL_KEY]
    if not isinstance(key, str) or not key or key[0] in "#$":
        raise InvalidArgument(
            f"Validation error: metadata: {TTL_KEY} must name a metadata key, which is not empty and does not start "
            f"with '#' or '$'. Got: {key!r}"
        )
