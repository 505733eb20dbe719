"""docs/time-travel.md: its example and its commands run."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docs.generated import DOCS
from tests.docs.run_blocks import examples, run_commands, run_example
from tests.support.server import HOST, running
from tests.support.wire import DATABASE
from tests.wire.test_stock_client import session

PAGE = DOCS / "time-travel.md"


def lines(program: str) -> list[str]:
    """The commands of the page that start with `program`."""
    return re.findall(rf"^ {{4}}({program} .*)$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.slow
def test_the_page(tmp_path: Path) -> None:
    (example,) = examples(PAGE)
    with running(tmp_path / "data") as server:
        names: dict[str, Any] = {}
        output = run_example(example.replace("8000", str(server.port)), names)
        with session(names["client"]):
            assert output == "['dune'] ['emma', 'dune', 'ubik'] 1\n"
        collections = f"http://{HOST}:{server.port}{DATABASE}/collections"
        headers = {"content-type": "application/json"}
        books = httpx.get(f"{collections}/books", headers=headers).json()
        # The page's position is another collection's; the first write of this one is 1.
        _, by_position, fork, erase = lines("curl")
        base = f"{collections}/{books['id']}"
        assert '"ids":["emma","dune"]' in run_commands(by_position.replace("at=17", "at=1"), tmp_path, BOOKS=base)
        assert '"name":"books-17"' in run_commands(fork.replace("at=17", "at=1"), tmp_path, BOOKS=base)
        _, replace, listing, dropped = lines("afterglow restore")
        assert run_commands(replace.replace("--at 17", "--at 1"), tmp_path).startswith("books: 2 records")
        assert run_commands(listing, tmp_path).startswith(f"books  {books['id']}  dropped")
        assert httpx.delete(f"{collections}/books", headers=headers).status_code == 200
        assert run_commands(dropped, tmp_path).startswith("books: 2 records")
        books = httpx.get(f"{collections}/books", headers=headers).json()
        assert '"deleted":1' in run_commands(erase, tmp_path, BOOKS=f"{collections}/{books['id']}")
        by_id, by_filter = lines("afterglow erase")
        assert run_commands(by_id.replace("emma", "dune").replace("./data", "data"), tmp_path).startswith("erasure ")
        assert run_commands(by_filter.replace("./data", "data"), tmp_path).startswith("no record is selected")
