"""The examples of the README: the client against a server, then the embedded one on the data that is left."""

from pathlib import Path

from tests.docs.carried import examples, printed
from tests.docs.written import README
from tests.support.server import running


def test_the_examples_work(tmp_path: Path) -> None:
    client, embedded = examples(README)
    with running(tmp_path / "data") as server:
        assert printed(client.replace("8000", str(server.port))).startswith("[['dune', 'ubik']] [[0.0")
    assert printed(embedded.replace("./data", str(tmp_path / "data"))) == "3 ['dune']\n"
