"""Count with a filter, distinct values, least and greatest value: routes of this server alone."""

from typing import Any

import pytest

from tests.wire.clients import CollectionClient, assert_error, assert_invalid_body


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({}, 5),
        ({"where": {"kind": "x"}}, 2),
        ({"where": {"kind": {"$ne": "x"}}, "where_document": {"$contains": "fig"}}, 1),
        ({"ids": ["a", "b", "zz"], "where": {"n": {"$gte": 2}}}, 1),
        ({"ids": []}, 0),
    ],
)
def test_count(letters: CollectionClient, body: dict[str, Any], count: int) -> None:
    response = letters.post("count", **body)
    assert (response.status_code, response.json()) == (200, count)
    assert "afterglow-log-position" in response.headers


def test_count_in_the_past(letters: CollectionClient) -> None:
    assert letters.post("count?at=0").json() == 0
    assert letters.post("count?at=1", where={"kind": "y"}).json() == 2


@pytest.mark.parametrize(
    ("body", "values", "total"),
    [
        ({"key": "kind"}, {"x": 2, "y": 2}, 2),
        ({"key": "kind", "limit": 1}, {"x": 2}, 2),
        ({"key": "n", "where": {"kind": {"$in": ["x", "y"]}}}, {1: 1, 2.5: 1, 3: 1}, 3),
        ({"key": "tags"}, {"p": 1, "q": 1}, 2),
        ({"key": "missing"}, {}, 0),
        ({"key": "kind", "limit": 0}, {}, 2),
    ],
)
def test_distinct(letters: CollectionClient, body: dict[str, Any], values: dict[Any, int], total: int) -> None:
    expected = [{"value": value, "count": count} for value, count in values.items()]
    assert letters.post("distinct", **body).json() == {"values": expected, "total": total}


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({"key": "n"}, (1, 3, 3)),
        ({"key": "n", "where": {"kind": "y"}}, (2.5, 2.5, 1)),
        ({"key": "kind", "ids": ["b"]}, ("y", "y", 1)),
        ({"key": "tags"}, ("p", "q", 1)),
        ({"key": "n", "where": {"kind": "z"}}, (None, None, 0)),
    ],
)
def test_min_max(letters: CollectionClient, body: dict[str, Any], result: tuple[Any, Any, int]) -> None:
    assert letters.post("min_max", **body).json() == dict(zip(("min", "max", "count"), result, strict=True))


def test_refused(letters: CollectionClient) -> None:
    assert_invalid_body(letters.post("distinct"), "missing field `key`")
    assert_invalid_body(letters.post("count", filter={}), "filter: unknown field `filter`")
    limit = "limit: invalid value: integer `10001`, expected at most 10000"
    assert_invalid_body(letters.post("distinct", key="n", limit=10_001), limit)
    assert_error(letters.post("min_max", key="n", where={}), 400, "Invalid where clause")
    missing = letters.path.replace(letters.created["id"], "00000000-0000-4000-8000-000000000000")
    for operation, body in (("count", {}), ("distinct", {"key": "n"}), ("min_max", {"key": "n", "where": {}})):
        response = letters.api_client.request("POST", f"{missing}/{operation}", body)
        assert response.status_code == 404
