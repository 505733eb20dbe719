"""Values of database drivers as those of JSON: what files have, and what an import maps."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID


def plain(value: Any) -> Any:
    """Times, UUIDs and intervals as text, decimals as numbers; bytes, which metadata cannot hold, as None."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [plain(item) for item in value]
        case dict():
            return {str(name): plain(member) for name, member in value.items()}
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return int(value) if value == value.to_integral_value() and value.is_finite() else float(value)
        case UUID() | timedelta():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return None
        case _:
            return str(value)
