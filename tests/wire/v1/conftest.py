from collections.abc import Callable
from itertools import count
from typing import Any

import httpx
import orjson
import pytest

from tests.wire.clients import ApiClient

API = "/api/v1"

_names = count()

Call = Callable[..., httpx.Response]


@pytest.fixture
def call(api_client: ApiClient) -> Call:
    """A request as v1's clients send it: a body without a declared type."""

    def send(method: str, path: str, body: Any = None, agent: str = "python-httpx/0.27.2") -> httpx.Response:
        content = None if body is None else orjson.dumps(body)
        return api_client.http.request(method, API + path, content=content, headers={"user-agent": agent})

    return send


@pytest.fixture
def created(call: Call) -> dict[str, Any]:
    """A collection of its own."""
    response = call("POST", "/collections", {"name": f"old-{next(_names)}"})
    assert response.status_code == 200, response.text
    collection: dict[str, Any] = response.json()
    return collection
