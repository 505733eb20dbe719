"""Parameters of query strings: pages, freshness, points in time."""

from datetime import UTC, datetime

import pytest

from afterglow.api.http import request_params
from afterglow.api.http.handler import Request
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import ReadLevel
from afterglow.errors import InvalidArgument


def test_defaults() -> None:
    request = Request({})
    assert request_params.limit_and_offset(request) == (None, 0)
    assert request_params.read_level(request) is ReadLevel.INDEX_AND_WAL
    assert request_params.parse_at(request) is None


def test_a_page() -> None:
    assert request_params.limit_and_offset(Request({}, b"limit=4294967295&offset=07")) == (2**32 - 1, 7)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        (b"limit=", "limit: cannot parse integer from empty string"),
        (b"limit=-1", "limit: invalid digit found in string"),
        (b"offset=4294967296", "offset: number too large to fit in target type"),
        (b"limit=" + b"9" * 5000, "limit: number too large to fit in target type"),
        (b"limit=1&limit=1", "duplicate field `limit`"),
    ],
)
def test_invalid_pages(query: bytes, problem: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        request_params.limit_and_offset(Request({}, query))
    assert caught.value.message == f"Failed to deserialize query string: {problem}"


@pytest.mark.parametrize(
    "query",
    [
        b"at=2026-01-31T12:00:00Z",
        b"at=2026-01-31T12:00:00",
        b"at=2026-01-31T14:00:00%2B02:00",
        b"at=2026-01-31T14:00:00+02:00",
    ],
)
def test_a_time(query: bytes) -> None:
    time = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert request_params.parse_at(Request({}, query)) == PointInTime(time=int(time.timestamp() * 1000))


def test_a_log_position() -> None:
    assert request_params.parse_point_in_time("42") == PointInTime(position=42)


def test_an_invalid_point_in_time() -> None:
    with pytest.raises(InvalidArgument, match="'yesterday' is neither a time"):
        request_params.parse_point_in_time("yesterday")
