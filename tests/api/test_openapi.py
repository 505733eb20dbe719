"""The description of the routes is true, and the page that shows it needs nothing from elsewhere."""

import re
from importlib import resources
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from afterglow.api.openapi import document
from afterglow.api.v2.routes import ROUTES
from afterglow.api.v2.routes.paths import DATABASE
from tests.wire.clients import ApiClient, CollectionClient

VERSION_1 = """
get /api/v1
get /api/v1/heartbeat
get /api/v1/version
get /api/v1/pre-flight-checks
post /api/v1/reset
post /api/v1/tenants
get /api/v1/tenants/{}
post /api/v1/databases
get /api/v1/databases/{}
get /api/v1/collections
post /api/v1/collections
get /api/v1/count_collections
get /api/v1/collections/{}
put /api/v1/collections/{}
delete /api/v1/collections/{}
post /api/v1/collections/{}/add
post /api/v1/collections/{}/update
post /api/v1/collections/{}/upsert
post /api/v1/collections/{}/get
post /api/v1/collections/{}/query
post /api/v1/collections/{}/delete
get /api/v1/collections/{}/count
"""

CHROMA_ROUTES = """
get /api/v2/auth/identity
get /api/v2/collections/{crn}
get /api/v2/healthcheck
get /api/v2/heartbeat
get /api/v2/pre-flight-checks
post /api/v2/reset
post /api/v2/tenants
get /api/v2/tenants/{}
patch /api/v2/tenants/{}
get /api/v2/tenants/{}/databases
post /api/v2/tenants/{}/databases
get /api/v2/tenants/{}/databases/{}
delete /api/v2/tenants/{}/databases/{}
get /api/v2/tenants/{}/databases/{}/collections
post /api/v2/tenants/{}/databases/{}/collections
get /api/v2/tenants/{}/databases/{}/collections/by-id/{}
get /api/v2/tenants/{}/databases/{}/collections/{}
put /api/v2/tenants/{}/databases/{}/collections/{}
delete /api/v2/tenants/{}/databases/{}/collections/{}
post /api/v2/tenants/{}/databases/{}/collections/{}/add
post /api/v2/tenants/{}/databases/{}/collections/{}/attached_functions/{}/detach
get /api/v2/tenants/{}/databases/{}/collections/{}/count
post /api/v2/tenants/{}/databases/{}/collections/{}/delete
post /api/v2/tenants/{}/databases/{}/collections/{}/fork
get /api/v2/tenants/{}/databases/{}/collections/{}/fork_count
post /api/v2/tenants/{}/databases/{}/collections/{}/functions/attach
get /api/v2/tenants/{}/databases/{}/collections/{}/functions/{}
post /api/v2/tenants/{}/databases/{}/collections/{}/get
get /api/v2/tenants/{}/databases/{}/collections/{}/indexing_status
post /api/v2/tenants/{}/databases/{}/collections/{}/query
post /api/v2/tenants/{}/databases/{}/collections/{}/search
post /api/v2/tenants/{}/databases/{}/collections/{}/update
post /api/v2/tenants/{}/databases/{}/collections/{}/upsert
get /api/v2/tenants/{}/databases/{}/collections_count
get /api/v2/version
"""


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return document(ROUTES)


def operations(whole: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{method} {path}": item for path, methods in whole["paths"].items() for method, item in methods.items()}


def schema_of(whole: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"components": whole["components"]}


NEXT_CLIENTS = """
post /api/v2/tenants/{}/databases/{}/collections/{}/conditional/get
post /api/v2/tenants/{}/databases/{}/collections/{}/conditional/commit
"""

OURS = """
get /health
get /ready
post /embed
post /api/v2/tenants/{}/databases/{}/collections/{}/conditional/query
post /api/v2/tenants/{}/databases/{}/collections/{}/conditional/search
post /api/v2/tenants/{}/databases/{}/conditional/commit
get /api/v2/tenants/{}/keys
post /api/v2/tenants/{}/keys
delete /api/v2/tenants/{}/keys/{}
get /api/v2
post /api/v2/tenants/{}/databases/{}/collections/{}/count
post /api/v2/tenants/{}/databases/{}/collections/{}/distinct
post /api/v2/tenants/{}/databases/{}/collections/{}/min_max
get /api/v2/tenants/{}/databases/{}/collections/{}/changes
get /api/v2/tenants/{}/databases/{}/collections/{}/erasures
get /api/v2/tenants/{}/databases/{}/imports
get /api/v2/tenants/{}/databases/{}/imports/{}
get /api/v2/tenants/{}/databases/{}/imports/{}/errors
"""


def test_every_route_of_chroma_exists(whole: dict[str, Any]) -> None:
    def bare(text: str) -> set[str]:
        return set(re.sub(r"\{\w*\}", "{}", text).split("\n")) - {""}

    assert bare("\n".join(operations(whole))) == bare(CHROMA_ROUTES) | bare(VERSION_1) | bare(NEXT_CLIENTS) | bare(OURS)


def test_operations_are_named_once(whole: dict[str, Any]) -> None:
    names = [item["operationId"] for item in operations(whole).values()]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere(whole: dict[str, Any]) -> None:
    result = set(re.findall(r"#/components/schemas/(\w+)", repr(whole)))
    assert result == set(whole["components"]["schemas"])


def test_path_parameters_are_those_of_the_path(whole: dict[str, Any]) -> None:
    for path, methods in whole["paths"].items():
        for item in methods.values():
            named = [arguments["name"] for arguments in item.get("parameters", []) if arguments["in"] == "path"]
            assert named == re.findall(r"\{(\w+)\}", path)


def test_the_statuses_of_a_write(whole: dict[str, Any]) -> None:
    responses = whole["paths"][DATABASE + "/collections/{collection_id}/add"]["post"]["responses"]
    statuses = ["201", "400", "404", "408", "413", "415", "422", "429", "500", "501", "503", "507"]
    assert list(responses) == statuses
    assert "409" in whole["paths"][DATABASE + "/collections"]["post"]["responses"]


def test_examples_fit_their_schemas(whole: dict[str, Any]) -> None:
    examples = {name: item["example"] for name, item in whole["components"]["schemas"].items() if "example" in item}
    assert {"AddRecords", "QueryRecords", "GetRecords", "CreateCollection"} <= examples.keys()
    for name, example in examples.items():
        jsonschema.validate(example, schema_of(whole, {"$ref": f"#/components/schemas/{name}"}))


def test_answers_fit_their_schemas(whole: dict[str, Any], api_client: ApiClient, collection: CollectionClient) -> None:
    body = whole["components"]["schemas"]["AddRecords"]["example"]
    collection.add(**body)
    base = DATABASE + "/collections"
    one = base + "/{collection_id}"
    name = collection.created["name"]
    answered = {
        f"get {base}": api_client.request("GET", collection.database + "/collections"),
        f"get {one}": api_client.request("GET", f"{collection.database}/collections/{name}"),
        f"post {one}/get": collection.post("get", include=["documents", "metadatas", "embeddings", "uris"]),
        f"post {one}/query": collection.post("query", query_embeddings=[[1, 2]]),
        f"get {one}/count": collection.get("count"),
        f"post {one}/count": collection.post("count"),
        f"post {one}/distinct": collection.post("distinct", key="page"),
        f"post {one}/min_max": collection.post("min_max", key="page"),
        f"get {one}/indexing_status": collection.get("indexing_status"),
        f"post {one}/delete": collection.post("delete", ids=["nobody"], erase=True),
        f"get {one}/erasures": collection.get("erasures"),
        f"post {one}/fork": collection.post("fork", new_name="abc"),
        f"post {one}/add": collection.post("add", ids=["x"]),
        "get /api/v2": api_client.request("GET", "/api/v2"),
        "get /api/v2/pre-flight-checks": api_client.request("GET", "/api/v2/pre-flight-checks"),
        "get /api/v2/auth/identity": api_client.request("GET", "/api/v2/auth/identity"),
    }
    for name, response in answered.items():
        described = operations(whole)[name]["responses"][str(response.status_code)]
        schema = described["content"]["application/json"]["schema"]
        jsonschema.validate(response.json(), schema_of(whole, schema))


def test_it_is_served(whole: dict[str, Any], api_client: ApiClient) -> None:
    response = api_client.request("GET", "/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == whole


def test_the_page_and_its_parts(api_client: ApiClient) -> None:
    page = api_client.request("GET", "/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    parts = re.findall(r'(?:href|src)="(docs/[^"]+)"', page.text)
    assert parts == ["docs/docs.css", "docs/docs.js"]
    for part, kind in zip(parts, ("text/css", "text/javascript"), strict=True):
        response = api_client.request("GET", f"/{part}")
        assert response.status_code == 200
        assert response.headers["content-type"] == f"{kind}; charset=utf-8"
    assert api_client.request("GET", "/docs/__init__.py").status_code == 404
    assert api_client.request("GET", "/docs/..%2Fapp.py").status_code == 404


def test_the_page_asks_nobody_else() -> None:
    for file in resources.files("afterglow.api").joinpath("static").iterdir():
        assert re.findall(r"(?:https?:)?//[a-z]", file.read_text()) == []
