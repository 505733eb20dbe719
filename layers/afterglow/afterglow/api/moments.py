"""`?at=`: the moment of the past that a read is about, as a time or as a position in the log.

A time is ISO 8601, in UTC where it names no offset; a position is what the header `afterglow-log-position` of an answer
said, in digits.
"""

import re
from datetime import UTC, datetime

from afterglow.api import params
from afterglow.api.service import Call
from afterglow.collection.history import Moment
from afterglow.errors import InvalidArgument

_POSITION = re.compile("[0-9]{1,19}")
QUERY: tuple[str, dict[str, object]] = (
    "at",
    {
        "type": "string",
        "description": "Answer as of this moment: a time in ISO 8601, or a log position as an earlier answer's header"
        " `afterglow-log-position` has it.",
    },
)


def moment(call: Call) -> Moment | None:
    """The moment that the query string names, None for now. Raises InvalidArgument."""
    if not call.query:
        return None
    text = params.field(call, "at")
    return None if text is None else parse(text)


def parse(text: str) -> Moment:
    """A moment as a person writes it. Raises InvalidArgument."""
    if _POSITION.fullmatch(text):
        return Moment(position=int(text))
    try:
        # An offset's plus is a space once a query string is decoded.
        time = datetime.fromisoformat(text.replace(" +", "+") if "T" not in text else text.replace(" ", "+"))
    except ValueError:
        raise InvalidArgument(
            f"at: {text[:100]!r} is neither a time like 2026-01-31T12:00:00Z nor a log position"
        ) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return Moment(time=int(time.timestamp() * 1000))
