"""docs/changes.md: its example runs."""

from pathlib import Path
from typing import Any

import pytest

from tests.docs.generated import DOCS
from tests.docs.run_blocks import examples, run_example
from tests.support.server import running

PAGE = DOCS / "changes.md"


@pytest.mark.slow
def test_the_page(tmp_path: Path) -> None:
    (example,) = examples(PAGE)
    names: dict[str, Any] = {}
    with running(tmp_path / "data") as server:
        assert run_example(example.replace("8000", str(server.port)), names) == "2 1\n"
