"""The function of the API answers clients of v1, whose bodies come without a type and so in base64."""

import base64
import json
from types import ModuleType
from typing import Any

import pytest

from tests.aws_lambda.conftest import Lines
from tests.functions.loading import Context, event


def ask(function: ModuleType, method: str, path: str, body: Any = None, query: str = "") -> tuple[int, Any]:
    """A request of a v1 client as the HTTP API hands it on; the status and the answer's JSON."""
    sent = event("api-add")
    sent |= {"rawPath": f"/api/v1{path}", "rawQueryString": query}
    sent["requestContext"]["http"] |= {"method": method, "path": sent["rawPath"]}
    sent["headers"] |= {"user-agent": "python-httpx/0.27.2"}
    del sent["headers"]["content-type"]
    content = b"" if body is None else json.dumps(body).encode()
    sent["headers"]["content-length"] = str(len(content))
    sent |= {"body": base64.b64encode(content).decode(), "isBase64Encoded": True}
    got = function.handler(sent, Context())
    return got["statusCode"], json.loads(got["body"])


@pytest.mark.slow
def test_the_story(function: ModuleType, lines: Lines) -> None:
    place = "tenant=default_tenant&database=default_database"
    assert ask(function, "GET", "/tenants/default_tenant") == (200, {"name": "default_tenant"})
    status, made = ask(function, "POST", "/collections", {"name": "old", "get_or_create": False}, place)
    assert (status, made["configuration_json"]["_type"]) == (200, "CollectionConfigurationInternal")
    assert ask(function, "GET", "/collections", query=place) == (200, [made])
    path = f"/collections/{made['id']}"
    records = {"ids": ["a", "b"], "embeddings": [[1, 2], [3, 4]], "documents": ["first", None], "metadatas": None}
    assert ask(function, "POST", path + "/add", records) == (201, True)
    assert ask(function, "GET", path + "/count") == (200, 2)
    nearest = {
        "query_embeddings": [[3, 3]],
        "n_results": 1,
        "where": {},
        "where_document": {},
        "include": ["distances"],
    }
    status, found = ask(function, "POST", path + "/query", nearest)
    assert (status, found["ids"], found["distances"], found["data"]) == (200, [["b"]], [[1.0]], None)
    assert ask(function, "POST", path + "/delete", {"ids": ["a"], "where": {}}) == (200, None)
    assert ask(function, "DELETE", "/collections/old", query=place) == (200, None)
    assert ask(function, "GET", path + "/count")[1]["error"] == "InvalidCollection"
    assert "v1.records.query" in [line.get("operation") for line in lines()]


def test_a_warm_call_reads_no_more_than_one_of_v2(function: ModuleType, lines: Lines) -> None:
    _, made = ask(function, "POST", "/collections", {"name": "old"})
    body = {"ids": ["a"], "embeddings": [[1, 2]]}
    ask(function, "POST", f"/collections/{made['id']}/add", body)
    function.handler(event("api-count", made["id"]), Context())
    lines()
    ask(function, "GET", f"/collections/{made['id']}/count")
    function.handler(event("api-count", made["id"]), Context())
    old, new = lines()
    assert old["read_units"] == new["read_units"]
