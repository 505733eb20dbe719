"""LangChain and LlamaIndex: the same outcome as with Chroma's server."""

from typing import Any

import pytest

from tests.clients.judges import python
from tests.support.server import HOST, Server

pytestmark = pytest.mark.clients

KNOWN: dict[str, dict[str, Any]] = {
    "langchain": {"similar": ["ubik", "dune", "ice"], "left": ["dune", "ubik", "solaris", "ice", "y"], "reset": []},
    "llama_index": {"deleted with their source": ["emma", "dune", "solaris"], "cleared": 0},
}
"""A few outcomes, so that two empty servers do not count as equal."""


@pytest.mark.parametrize("framework", KNOWN)
def test_a_framework(framework: str, server: Server, chroma_server: Server) -> None:
    outcome = python("frameworks", "frameworks", framework, f"http://{HOST}:{server.port}")
    assert {step: outcome[step] for step in KNOWN[framework]} == KNOWN[framework]
    assert outcome == python("frameworks", "frameworks", framework, f"http://{HOST}:{chroma_server.port}")
