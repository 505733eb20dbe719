"""Parameters of paths and query strings: the collection, `limit`, `offset`, `read_level` and `at`.

Invalid parameters raise InvalidArgument.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus
from uuid import UUID

from afterglow.api.http.handler import Request
from afterglow.catalog.names import parse_collection_id, validate_database_segment
from afterglow.collection import restriction as restrictions
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import ReadLevel, Restriction, Scope
from afterglow.errors import Corrupt, Forbidden, InvalidArgument

MAX_U32 = 2**32 - 1
DEFAULT_LINES, MAX_LINES = 1_000, 10_000
"""Of a page of changes."""
MAX_WAIT_SECONDS = 60
"""For a change."""

_DIGITS = re.compile("[0-9]+")
_LOG_POSITION = re.compile("[0-9]{1,19}")
_MIN_TIME = int(datetime.min.replace(tzinfo=UTC).timestamp()) * 1000
_MAX_TIME = int(datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()) * 1000
_SINGLE_FIELDS = frozenset({"limit", "offset", "read_level"})
_U32: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": MAX_U32}
PAGE_PARAMETERS = (("limit", _U32), ("offset", _U32))
"""The parameters of a page, for the OpenAPI document."""
AT_PARAMETER: tuple[str, dict[str, object]] = (
    "at",
    {
        "type": "string",
        "description": "Read the collection as of this point in time: an ISO 8601 time, or a log position from the"
        " `afterglow-log-position` header of an earlier response.",
    },
)
"""The time travel parameter, for the OpenAPI document."""


def tenant_and_database(request: Request) -> tuple[str, str]:
    """The tenant and the database of the path; refuses a name that is too short for a database."""
    database = request.path_part("database")
    validate_database_segment(database)
    return request.path_part("tenant"), database


def scope(request: Request) -> Scope:
    """The collection of the path, by id."""
    tenant, database = tenant_and_database(request)
    return collection_scope(request, tenant, database, parse_collection_id(request.path_part("collection_id")))


def collection_scope(request: Request, tenant: str, database: str, collection_id: UUID) -> Scope:
    """A collection, of which the caller may see only the part that the filters of its key leave."""
    return Scope(tenant, database, collection_id, restriction(request))


def restriction(request: Request) -> Restriction | None:
    """The filters of the caller's key. Raises Forbidden if its holder has added one that cannot be read."""
    if request.grant.wheres is None:
        return None
    try:
        return restrictions.parse(request.grant.wheres)
    except Corrupt as error:
        if request.grant.is_attenuated:
            raise Forbidden(f"the attenuated key is of no use: {error.message}") from error
        raise


def limit_and_offset(request: Request) -> tuple[int | None, int]:
    """`limit` (default None: all) and `offset` (default 0)."""
    fields = _fields(request.query)
    limit, offset = fields.get("limit"), fields.get("offset")
    return None if limit is None else _parse_u32("limit", limit), 0 if offset is None else _parse_u32("offset", offset)


def require_known(query: bytes, names: Sequence[str]) -> None:
    """Raises InvalidArgument for a parameter with another name, so that a misspelled one is not ignored."""
    for name in _fields(query):
        if name not in names:
            expected = "there are no fields"
            if names:
                listed = ", ".join(f"`{one}`" for one in names)
                expected = f"expected {listed if len(names) == 1 else f'one of {listed}'}"
            raise _query_error(f"unknown field `{name[:100]}`, {expected}")


def query_field(request: Request, name: str) -> str | None:
    """A field of the query string, decoded; the last of several."""
    return _fields(request.query).get(name)


def read_level(request: Request) -> ReadLevel:
    """The requested freshness of a read."""
    text = _fields(request.query).get("read_level")
    if text is None:
        return ReadLevel.INDEX_AND_WAL
    try:
        return ReadLevel(text)
    except ValueError:
        levels = ", ".join(f"`{level}`" for level in ReadLevel)
        raise _query_error(f"read_level: unknown variant `{text}`, expected one of {levels}") from None


def parse_at(request: Request) -> PointInTime | None:
    """The point in time of the query string's `at`, None for the present."""
    if not request.query:
        return None
    text = query_field(request, "at")
    if text is not None and request.grant.wheres is not None:
        # Positions, and what of the past can be read, depend on the writes of others.
        raise InvalidArgument("at: a key with filters reads the present only")
    return None if text is None else parse_point_in_time(text)


def parse_point_in_time(text: str) -> PointInTime:
    """A log position in decimal, or an ISO 8601 time, UTC without an offset, limited to the years 1 to 9999 in UTC."""
    if _LOG_POSITION.fullmatch(text):
        return PointInTime(position=int(text))
    try:
        # Decoding a query string turns the plus of a time zone offset into a space.
        time = datetime.fromisoformat(text.replace(" +", "+") if "T" not in text else text.replace(" ", "+"))
    except ValueError:
        raise InvalidArgument(
            f"at: {text[:100]!r} is neither a time like 2026-01-31T12:00:00Z nor a log position"
        ) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    # An offset can move a time before year 1 or beyond year 9999 in UTC; such a time cannot be formatted.
    return PointInTime(time=min(max(int(time.timestamp() * 1000), _MIN_TIME), _MAX_TIME))


def _fields(query: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for pair in filter(None, query.split(b"&")):
        name, _, value = pair.decode("latin-1").partition("=")
        name = unquote_plus(name)
        if name in fields and name in _SINGLE_FIELDS:
            raise _query_error(f"duplicate field `{name}`")
        fields[name] = unquote_plus(value)
    return fields


def _parse_u32(name: str, text: str) -> int:
    if not text:
        raise _query_error(f"{name}: cannot parse integer from empty string")
    if _DIGITS.fullmatch(text) is None:
        raise _query_error(f"{name}: invalid digit found in string")
    # The length first: Python refuses to parse integers of thousands of digits.
    if len(text.lstrip("0")) > len(str(MAX_U32)) or int(text) > MAX_U32:
        raise _query_error(f"{name}: number too large to fit in target type")
    return int(text)


def _query_error(problem: str) -> InvalidArgument:
    return InvalidArgument(f"Failed to deserialize query string: {problem}")
