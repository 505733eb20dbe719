"""The page about forks and the past: its example and its commands are carried out."""

import re
from pathlib import Path
from typing import Any

import httpx

from tests.docs.carried import carried_out, examples, printed
from tests.docs.written import ROOT
from tests.support.server import HOST, running
from tests.support.wire import DATABASE
from tests.wire.test_stock_client import session

HISTORY = ROOT / "docs" / "history.md"


def lines(program: str) -> list[str]:
    """The commands of the page that begin so."""
    return re.findall(rf"^ {{4}}({program} .*)$", HISTORY.read_text(), re.MULTILINE)


def test_the_page(tmp_path: Path) -> None:
    (example,) = examples(HISTORY)
    with running(tmp_path / "data") as server:
        names: dict[str, Any] = {}
        output = printed(example.replace("8000", str(server.port)), names)
        with session(names["client"]):
            assert output == "['dune'] ['emma', 'dune', 'ubik'] 1\n"
        collections = f"http://{HOST}:{server.port}{DATABASE}/collections"
        headers = {"content-type": "application/json"}
        books = httpx.get(f"{collections}/books", headers=headers).json()
        # The page's position is another collection's; the first write of this one is 1.
        _, by_position, fork = lines("curl")
        base = f"{collections}/{books['id']}"
        assert '"ids":["emma","dune"]' in carried_out(by_position.replace("at=17", "at=1"), tmp_path, BOOKS=base)
        assert '"name":"books-17"' in carried_out(fork.replace("at=17", "at=1"), tmp_path, BOOKS=base)
        _, replace, listing, dropped = lines("afterglow restore")
        assert carried_out(replace.replace("--at 17", "--at 1"), tmp_path).startswith("books: 2 records")
        assert carried_out(listing, tmp_path).startswith(f"books  {books['id']}  dropped")
        assert httpx.delete(f"{collections}/books", headers=headers).status_code == 200
        assert carried_out(dropped, tmp_path).startswith("books: 2 records")
