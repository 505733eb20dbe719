"""The TypeScript client, its last v1 release and a current one: the scenario of the Python clients, and API keys."""

import json
from typing import Any

import pytest

from tests.clients.judges import node
from tests.clients.scenario import CONDITIONS, FISH, OUTCOME, WORDS
from tests.support.server import HOST, Server

pytestmark = pytest.mark.clients

INPUT = json.dumps({"fish": FISH, "conditions": CONDITIONS, "words": WORDS})
KEYS: dict[str, dict[str, Any]] = {
    "v1": {
        "written": 1,
        "as a header": ["a"],
        "as a bearer": ["a"],
        "with a name": ["a"],
        "a reader writes": "ChromaForbiddenError",
        "another database": "ChromaForbiddenError",
        "a wrong key": "ChromaAuthError",
        "no key": "ChromaAuthError",
    },
    "v2": {
        "an admin": ["books", "films"],
        "written": 1,
        "found by the key": [["a"], "default_tenant", "books"],
        "a reader writes": "ChromaForbiddenError",
        "another database": "ChromaForbiddenError",
        "a wrong key": "ChromaAuthError",
        "no key": "ChromaAuthError",
        "a writer makes a database": "ChromaForbiddenError",
    },
}


@pytest.mark.parametrize("judge", ["v1", "v2"])
def test_the_scenario(judge: str, server: Server) -> None:
    assert node(judge, "run.mjs", f"http://{HOST}:{server.port}", INPUT) == OUTCOME


@pytest.mark.parametrize("judge", ["v1", "v2"])
def test_keys(judge: str, server_with_keys: tuple[str, dict[str, str]]) -> None:
    url, keys = server_with_keys
    assert node(judge, "keys.mjs", url, json.dumps(keys)) == KEYS[judge]
