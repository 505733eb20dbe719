"""LangChain and LlamaIndex: what comes of their calls is what comes of them with the genuine server."""

from typing import Any

import pytest

from tests.clients.judges import python
from tests.support.server import HOST, Server

pytestmark = pytest.mark.clients

KNOWN: dict[str, dict[str, Any]] = {
    "langchain": {"similar": ["ubik", "dune", "ice"], "left": ["dune", "ubik", "solaris", "ice", "y"], "reset": []},
    "llama_index": {"deleted with their source": ["emma", "dune", "solaris"], "cleared": 0},
}
"""Some of it, so that two empty servers do not pass for agreement."""


@pytest.mark.parametrize("framework", KNOWN)
def test_a_framework(framework: str, server: Server, genuine: Server) -> None:
    told = python("frameworks", "frameworks", framework, f"http://{HOST}:{server.port}")
    assert {step: told[step] for step in KNOWN[framework]} == KNOWN[framework]
    assert told == python("frameworks", "frameworks", framework, f"http://{HOST}:{genuine.port}")
