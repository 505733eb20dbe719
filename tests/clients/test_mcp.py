"""docs/quickstarts.md: chroma-mcp, unchanged and configured as the page says, is an agent's memory on this server."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from afterglow.auth import Role
from afterglow.auth.api_keys import Keys
from afterglow.deployment.local import open_local
from afterglow.settings import System
from tests.clients.judges import ROOT, SECONDS
from tests.support.onnx_files import write_model
from tests.support.server import running

pytestmark = [pytest.mark.clients, pytest.mark.timeout(2 * SECONDS)]

PROGRAM = ROOT / ".venv-clients-mcp" / "bin" / "chroma-mcp"
PAGE = ROOT / "docs" / "quickstarts.md"
MODEL_FILES = ("config.json", "special_tokens_map.json", "tokenizer_config.json", "vocab.txt")
"""What chroma-mcp looks for beside the model and the tokenizer, and reads not."""


class Agent:
    """An agent that talks to an MCP server: JSON-RPC, one message a line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._written, self._read, self._number = process.stdin, process.stdout, 0
        client = {"name": "agent", "version": "1"}
        self.ask("initialize", {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": client})
        self._send({"method": "notifications/initialized"})

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of a request."""
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while (message := json.loads(self._read.readline())).get("id") != self._number:
            pass
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    def use(self, tool: str, **arguments: Any) -> str:
        """What a tool says."""
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        text: str = "\n".join(item["text"] for item in result["content"])
        assert not result.get("isError"), text
        return text

    def _send(self, message: dict[str, Any]) -> None:
        self._written.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._written.flush()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a small model in the place of the one that chroma-mcp fetches."""
    home = tmp_path_factory.mktemp("home")
    model = write_model(home / ".cache" / "chroma" / "onnx_models" / "all-MiniLM-L6-v2" / "onnx")
    for name in MODEL_FILES:
        (model / name).touch()
    return home


@contextmanager
def agent(home: Path, port: int, *more: str) -> Iterator[Agent]:
    """An agent with the page's configuration, and further arguments."""
    assert PROGRAM.exists(), f"{PROGRAM} is missing: `make test-clients` makes it"
    section = PAGE.read_text().partition("## An agent's memory over MCP")[2]
    block = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert block is not None
    given = json.loads(block[1])["mcpServers"]["memory"]["args"]
    arguments = given[given.index(PROGRAM.name) + 1 :]
    arguments = [str(port) if argument == "8000" else argument for argument in arguments]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("CHROMA_", "PYTHON"))}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(
        [str(PROGRAM), *arguments, *more],
        **pipes,  # type: ignore[call-overload]
        text=True,
        cwd=home,
        env=env | {"HOME": str(home), "ANONYMIZED_TELEMETRY": "False"},
    ) as process:
        try:
            yield Agent(process)
        finally:
            process.kill()


def test_an_agent_remembers(home: Path, tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        with agent(home, server.port) as first:
            first.use("chroma_create_collection", collection_name="memory", metadata={"owner": "agent"})
            said = ["the desert planet and its spice", "a green house", "the blue river and its fish"]
            facts = {"collection_name": "memory", "documents": said, "ids": ["a", "b", "c"]}
            first.use("chroma_add_documents", **facts, metadatas=[{"day": 1}, {"day": 1}, {"day": 2}])
            first.use("chroma_update_documents", collection_name="memory", ids=["b"], documents=["a red house"])
        with agent(home, server.port) as second:
            assert "memory" in second.use("chroma_list_collections")
            assert second.use("chroma_get_collection_count", collection_name="memory") == "3"
            query = {"collection_name": "memory", "query_texts": ["the desert planet and its spice"], "n_results": 1}
            assert json.loads(second.use("chroma_query_documents", **query))["ids"] == [["a"]]
            later = json.loads(second.use("chroma_query_documents", **query, where={"day": {"$gt": 1}}))
            assert later["documents"] == [["the blue river and its fish"]]
            found = json.loads(second.use("chroma_get_documents", collection_name="memory", ids=["b"]))
            assert found["documents"] == ["a red house"]
            second.use("chroma_delete_documents", collection_name="memory", ids=["a"])
            assert json.loads(second.use("chroma_query_documents", **query))["ids"] != [["a"]]


def test_a_readers_key_gives_a_memory_that_the_agent_cannot_change(home: Path, tmp_path: Path) -> None:
    with running(tmp_path / "data", env={"AFTERGLOW_AUTH": "keys"}) as server:
        deployment = open_local(server.path, System())
        keys = Keys(deployment.table, System())
        writer, reader = (keys.create(role, "default_tenant")[0] for role in (Role.WRITER, Role.READER))
        deployment.table.close()
        with agent(home, server.port, "--custom-auth-credentials", f"agent:{writer}") as writing:
            writing.use("chroma_create_collection", collection_name="memory")
            writing.use("chroma_add_documents", collection_name="memory", documents=["a fish"], ids=["a"])
        with agent(home, server.port, "--custom-auth-credentials", f"agent:{reader}") as reading:
            assert reading.use("chroma_get_collection_count", collection_name="memory") == "1"
            with pytest.raises(AssertionError, match=r"403|not allow"):
                reading.use("chroma_add_documents", collection_name="memory", documents=["a cat"], ids=["b"])
