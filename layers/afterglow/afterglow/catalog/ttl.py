"""When the records of a collection expire: its metadata may name the key that tells.

`afterglow:ttl_key` in a collection's metadata names a metadata key of its records. A record with a number there, an
int or a float of Unix seconds, is not visible from that moment on. One without it, or with anything else, stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from afterglow.catalog.model import Collection
from afterglow.errors import InvalidArgument

TTL_KEY = "afterglow:ttl_key"


def ttl_key(metadata: Mapping[str, Any] | None) -> str | None:
    """The metadata key that tells when a record expires, None where records do not."""
    return None if metadata is None else metadata.get(TTL_KEY)


@dataclass(frozen=True, slots=True)
class NextExpiry:
    """When the first record of a checkpoint expires by the key `key`, in Unix seconds; None: none ever does."""

    key: str
    at: float | None


def expires(present: Collection, first: NextExpiry | None) -> float | None:
    """What a collection's `expires` is with a checkpoint of which `first` is known; None: nothing new is."""
    return present.next_expiry if first is None or first.key != ttl_key(present.metadata) else first.at


def unknown_expiry(metadata: Mapping[str, Any] | None) -> float | None:
    """What a collection's `expires` is where nobody knows yet when its first record expires: at once."""
    return None if ttl_key(metadata) is None else 0.0


def validate(metadata: Mapping[str, Any] | None) -> None:
    """Raises InvalidArgument where the metadata of a collection names no possible key."""
    if metadata is None or TTL_KEY not in metadata:
        return
    key = metadata[TTL_KEY]
    if not isinstance(key, str) or not key or key[0] in "#$":
        raise InvalidArgument(
            f"Validation error: metadata: {TTL_KEY} must name a metadata key, which is not empty and does not start with "
            f"'#' or '$'. Got: {key!r}"
        )
