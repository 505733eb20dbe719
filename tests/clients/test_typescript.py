"""The TypeScript client, its last release on v1 and a current one: the scenario of the Python clients, and keys."""

import json
from typing import Any

import pytest

from tests.clients.judges import node
from tests.clients.scenario import CONDITIONS, FISH, OUTCOME, WORDS
from tests.support.server import HOST, Server

pytestmark = pytest.mark.clients

GIVEN = json.dumps({"fish": FISH, "conditions": CONDITIONS, "words": WORDS})
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
    assert node(judge, "run.mjs", f"http://{HOST}:{server.port}", GIVEN) == OUTCOME


@pytest.mark.parametrize("judge", ["v1", "v2"])
def test_keys(judge: str, guarded: tuple[str, dict[str, str]]) -> None:
    url, keys = guarded
    assert node(judge, "keys.mjs", url, json.dumps(keys)) == KEYS[judge]
