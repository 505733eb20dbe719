"""The TypeScript client, its last release on v1 and a current one: the scenario of the Python clients."""

import json

import pytest

from tests.clients.judges import node
from tests.clients.scenario import CONDITIONS, FISH, OUTCOME, WORDS
from tests.support.server import HOST, Server

pytestmark = pytest.mark.clients

GIVEN = json.dumps({"fish": FISH, "conditions": CONDITIONS, "words": WORDS})


@pytest.mark.parametrize("judge", ["v1", "v2"])
def test_the_scenario(judge: str, server: Server) -> None:
    assert node(judge, "run.mjs", f"http://{HOST}:{server.port}", GIVEN) == OUTCOME
