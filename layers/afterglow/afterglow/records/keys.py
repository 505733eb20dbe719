"""Names of metadata keys.

A key is a non-empty string. `#` and `$` begin the names of fields and operators in queries, so no key begins with
them. In records, `chroma:` is a prefix that Chroma keeps for itself; in the metadata of collections it is allowed.
"""

from enum import Enum, auto
from functools import lru_cache

RESERVED_PREFIX = "chroma:"
_RESERVED_CHARACTERS = "#$"


class KeyProblem(Enum):
    """Why a record cannot have a metadata key."""

    EMPTY = auto()
    RESERVED_CHARACTER = auto()
    """The key begins with `#` or `$`."""
    RESERVED_PREFIX = auto()
    """The key begins with `chroma:`; collections may have it."""


@lru_cache(maxsize=4_096)
def key_problem(key: str) -> KeyProblem | None:
    """Why the key is invalid, None if it is valid. Cached: records repeat their keys."""
    if not key:
        return KeyProblem.EMPTY
    if key[0] in _RESERVED_CHARACTERS:
        return KeyProblem.RESERVED_CHARACTER
    if key.startswith(RESERVED_PREFIX):
        return KeyProblem.RESERVED_PREFIX
    return None
