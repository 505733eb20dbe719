"""The page about searches: its example is carried out, and its JSON asks for the same."""

import re
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.docs.carried import examples, printed
from tests.docs.written import SEARCH
from tests.support.server import HOST, running
from tests.support.wire import DATABASE
from tests.wire.test_stock_client import session


def test_the_example_works(tmp_path: Path) -> None:
    (example,) = examples(SEARCH)
    (body,) = re.findall(r"```json\n(.*?)```", SEARCH.read_text(), re.DOTALL)
    with running(tmp_path / "data") as server:
        names: dict[str, Any] = {}
        output = printed(example.replace("8000", str(server.port)), names)
        with session(names["client"]):
            assert output == "[('solaris', {'year': 1961}), ('dune', {'year': 1965})]\n"
        with httpx.Client(base_url=f"http://{HOST}:{server.port}") as client:
            path = f"{DATABASE}/collections"
            books = client.get(f"{path}/books", headers={"content-type": "application/json"}).json()
            found = client.post(f"{path}/{books['id']}/search", json=orjson.loads(body)).json()
    assert found["ids"] == [["solaris", "dune"]]
    assert found["select"] == [["#document", "#score", "year"]]
