"""Ids of records: any text that is not empty, up to a length at which every operation can still name it."""

from collections.abc import Sequence

MAX_ID_BYTES = 200_000
"""In UTF-8. The ids of an erasure are in one item of the table, which has at most 400 KB in DynamoDB."""
_MAX_BYTES_OF_CHARACTER = 4


def is_too_long(name: str) -> bool:
    """Whether the id is too long."""
    return len(name) > MAX_ID_BYTES // _MAX_BYTES_OF_CHARACTER and len(name.encode()) > MAX_ID_BYTES


def find_too_long(ids: Sequence[str]) -> str | None:
    """The first id that is too long, None if none is."""
    if max(map(len, ids), default=0) <= MAX_ID_BYTES // _MAX_BYTES_OF_CHARACTER:
        return None
    return next(filter(is_too_long, ids), None)
