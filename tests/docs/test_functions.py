"""docs/functions.md: its example runs."""

from pathlib import Path
from typing import Any

import pytest

from tests.docs.generated import DOCS
from tests.docs.run_blocks import examples, run_example
from tests.support.server import running
from tests.wire.test_stock_client import session

PAGE = DOCS / "functions.md"


@pytest.mark.slow
def test_the_page(tmp_path: Path) -> None:
    (example,) = examples(PAGE)
    names: dict[str, Any] = {}
    with running(tmp_path / "data") as server:
        output = run_example(example.replace("8000", str(server.port)), names)
        with session(names["client"]):
            assert output == "{'total_count': 2}\n"
