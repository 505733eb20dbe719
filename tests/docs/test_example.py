"""The client example of the README, run against a server."""

import contextlib
import io
import re
from pathlib import Path

from tests.docs.written import README
from tests.support.server import running


def test_the_example_works(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    with running(tmp_path / "data") as server:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(example.replace("8000", str(server.port)), {})
    assert printed.getvalue().startswith("[['dune', 'ubik']] [[0.0")
