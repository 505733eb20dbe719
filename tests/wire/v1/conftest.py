from collections.abc import Callable
from itertools import count
from typing import Any

import httpx
import orjson
import pytest

from tests.wire.face import Face

API = "/api/v1"

_names = count()

Call = Callable[..., httpx.Response]


@pytest.fixture
def call(face: Face) -> Call:
    """A request as v1's clients send it: a body without a declared type."""

    def send(method: str, path: str, body: Any = None, agent: str = "python-httpx/0.27.2") -> httpx.Response:
        content = None if body is None else orjson.dumps(body)
        return face.http.request(method, API + path, content=content, headers={"user-agent": agent})

    return send


@pytest.fixture
def created(call: Call) -> dict[str, Any]:
    """A collection of its own."""
    answer = call("POST", "/collections", {"name": f"old-{next(_names)}"})
    assert answer.status_code == 200, answer.text
    collection: dict[str, Any] = answer.json()
    return collection
