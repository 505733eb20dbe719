"""The examples of the README: the client against a server, then the embedded one on the data that is left."""

import contextlib
import io
import re
from pathlib import Path

from tests.docs.written import README
from tests.support.server import running


def test_the_examples_work(tmp_path: Path) -> None:
    client, embedded = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    with running(tmp_path / "data") as server:
        assert printed(client.replace("8000", str(server.port))).startswith("[['dune', 'ubik']] [[0.0")
    assert printed(embedded.replace("./data", str(tmp_path / "data"))) == "3 ['dune']\n"


def printed(example: str) -> str:
    """What an example prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(example, {})
    return output.getvalue()
