"""`afterglow reembed`, next to a running server."""

from pathlib import Path

import pytest

from tests.support.commands import run_command
from tests.support.onnx_files import DIMENSION, write_model
from tests.support.server import running
from tests.support.wire import Refused, Wire


@pytest.mark.slow
def test_a_collection_of_a_running_server(tmp_path: Path) -> None:
    env = {"AFTERGLOW_EMBEDDING_MODEL_DIR": str(write_model(tmp_path / "model"))}
    data = tmp_path / "data"
    with running(data, env=env) as server, server.client() as client:
        wire = Wire(client)
        old = wire.create("pets", metadata={"about": "pets"})
        documents = ["a red cat", "the blue fish in the sea", "a green bird"]
        wire.write(old, "add", {"ids": ["a", "b", "c"], "embeddings": [[1, 2], [3, 4], [5, 6]], "documents": documents})
        texts = tmp_path / "queries.txt"
        texts.write_text("\n")
        arguments = ["reembed", "pets", "--to", "default", "--path", str(data)]
        empty = run_command(*arguments, "--queries", str(texts), env=env)
        assert (empty.returncode, empty.stderr) == (2, f"afterglow: {texts}: has no texts\n")
        tried = run_command(*arguments, "--no-swap", "-k", "2", env=env)
        assert (tried.returncode, tried.stderr) == (0, "")
        assert tried.stdout == (
            f"pets: 3 records of {DIMENSION} dimensions; overlap@2 of 3 queries 1.000, lowest 1.00\n"
            "not swapped: the new vectors are in collection 'pets-reembedded'\n"
        )
        wire.write(old, "upsert", {"ids": ["d"], "embeddings": [[7, 8]], "documents": ["a planet"]})
        swapped = run_command(*arguments, env=env)
        assert swapped.returncode == 0, swapped.stderr
        assert swapped.stdout.splitlines()[-1] == f"  afterglow restore {old} --name pets-old"
        with pytest.raises(Refused, match="404"):
            wire.write(old, "upsert", {"ids": ["e"], "embeddings": [[7, 8]], "documents": ["a tree"]})
        new = wire.call("GET", "/collections/pets")
        assert (new["dimension"], new["metadata"]) == (DIMENSION, {"about": "pets"})
        found = wire.call("POST", f"/collections/{new['id']}/query", {"query_texts": ["a planet"], "n_results": 1})
        assert found["ids"] == [["d"]]
        back = run_command("restore", old, "--name", "pets-old", "--path", str(data), env=env)
        assert back.returncode == 0, back.stderr
        assert wire.call("GET", f"/collections/{wire.create('pets-old')}/count") == 4
        missing = run_command("reembed", "nosuch", "--to", "default", "--path", str(data), env=env)
        assert (missing.returncode, missing.stdout) == (1, "")
