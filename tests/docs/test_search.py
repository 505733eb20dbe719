"""docs/search.md: its Python example and its JSON give the same results."""

import re
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.docs.generated import SEARCH
from tests.docs.run_blocks import examples, run_example
from tests.support.server import HOST, running
from tests.support.wire import DATABASE
from tests.wire.test_stock_client import session


def test_the_example_works(tmp_path: Path) -> None:
    (example,) = examples(SEARCH)
    (body,) = re.findall(r"```json\n(.*?)```", SEARCH.read_text(), re.DOTALL)
    with running(tmp_path / "data") as server:
        names: dict[str, Any] = {}
        output = run_example(example.replace("8000", str(server.port)), names)
        with session(names["client"]):
            assert output == "[('solaris', {'year': 1961}), ('dune', {'year': 1965})]\n"
        with httpx.Client(base_url=f"http://{HOST}:{server.port}") as client:
            path = f"{DATABASE}/collections"
            books = client.get(f"{path}/books", headers={"content-type": "application/json"}).json()
            response = client.post(f"{path}/{books['id']}/search", json=orjson.loads(body)).json()
    assert response["ids"] == [["solaris", "dune"]]
    assert response["select"] == [["#document", "#score", "year"]]
