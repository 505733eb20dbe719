"""Values of drivers as JSON has them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from afterglow.bulk.databases.plain_values import plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        (True, True),
        (None, None),
        (Decimal("2"), 2),
        (Decimal("2.5"), 2.5),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
        (timedelta(1), "1 day, 0:00:00"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (b"x", None),
        ((1, Decimal("3")), [1, 3]),
        ({"a": {"b": UUID(int=5)}}, {"a": {"b": "00000000-0000-0000-0000-000000000005"}}),
        (1j, "1j"),
    ],
)
def test_plain(value: Any, expected: Any) -> None:
    found = plain(value)
    assert (found, type(found)) == (expected, type(expected))
