"""Paths and query strings: which collection, `limit`, `offset`, `read_level`. Refusals are InvalidArgument."""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from afterglow.api.http.handler import Request
from afterglow.catalog.names import parse_collection_id, validate_database_segment
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import ReadLevel, Scope
from afterglow.errors import InvalidArgument

LARGEST_U32 = 2**32 - 1

_DIGITS = re.compile("[0-9]+")
_U32: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": LARGEST_U32}
PAGE = (("limit", _U32), ("offset", _U32))
"""What a route says of the parameters of a page."""


def tenant_and_database(call: Request) -> tuple[str, str]:
    """The tenant and the database of the path; a database name too short for any is refused."""
    database = call.path_part("database")
    validate_database_segment(database)
    return call.path_part("tenant"), database


def scope(call: Request) -> Scope:
    """The collection of the path, by id."""
    tenant, database = tenant_and_database(call)
    return Scope(tenant, database, parse_collection_id(call.path_part("collection_id")))


def limit_and_offset(call: Request) -> tuple[int | None, int]:
    """`limit` (None: all) and `offset` (0: from the first)."""
    given = _fields(call.query)
    limit, offset = given.get("limit"), given.get("offset")
    return None if limit is None else _u32("limit", limit), 0 if offset is None else _u32("offset", offset)


def field(call: Request, name: str) -> str | None:
    """A field of the query string, decoded; the last of several."""
    return _fields(call.query).get(name)


def read_level(call: Request) -> ReadLevel:
    """How fresh the answer must be."""
    text = _fields(call.query).get("read_level")
    if text is None:
        return ReadLevel.INDEX_AND_WAL
    try:
        return ReadLevel(text)
    except ValueError:
        known = ", ".join(f"`{each}`" for each in ReadLevel)
        raise _refusal(f"read_level: unknown variant `{text}`, expected one of {known}") from None


def _fields(query: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for pair in filter(None, query.split(b"&")):
        name, _, value = pair.decode("latin-1").partition("=")
        name = unquote_plus(name)
        if name in fields and name in {"limit", "offset", "read_level"}:
            raise _refusal(f"duplicate field `{name}`")
        fields[name] = unquote_plus(value)
    return fields


def _u32(name: str, text: str) -> int:
    if not text:
        raise _refusal(f"{name}: cannot parse integer from empty string")
    if _DIGITS.fullmatch(text) is None:
        raise _refusal(f"{name}: invalid digit found in string")
    # The length first: Python refuses to read integers of thousands of digits.
    if len(text.lstrip("0")) > len(str(LARGEST_U32)) or int(text) > LARGEST_U32:
        raise _refusal(f"{name}: number too large to fit in target type")
    return int(text)


def _refusal(what: str) -> InvalidArgument:
    return InvalidArgument(f"Failed to deserialize query string: {what}")


_POSITION = re.compile("[0-9]{1,19}")
QUERY: tuple[str, dict[str, object]] = (
    "at",
    {
        "type": "string",
        "description": "Answer as of this moment: a time in ISO 8601, or a log position as an earlier answer's header"
        " `afterglow-log-position` has it.",
    },
)


def parse_at(call: Request) -> PointInTime | None:
    """The moment that the query string names, None for now. Raises InvalidArgument."""
    if not call.query:
        return None
    text = field(call, "at")
    return None if text is None else parse(text)


def parse(text: str) -> PointInTime:
    """A moment as a person writes it. Raises InvalidArgument."""
    if _POSITION.fullmatch(text):
        return PointInTime(position=int(text))
    try:
        # An offset's plus is a space once a query string is decoded.
        time = datetime.fromisoformat(text.replace(" +", "+") if "T" not in text else text.replace(" ", "+"))
    except ValueError:
        raise InvalidArgument(
            f"at: {text[:100]!r} is neither a time like 2026-01-31T12:00:00Z nor a log position"
        ) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return PointInTime(time=int(time.timestamp() * 1000))
