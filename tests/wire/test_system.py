"""System routes, and what holds for every route: empty 404 and 405, trace ids, content types."""

import re
import time

import httpx
import pytest

from tests.wire.clients import API, DATABASE, ApiClient, assert_error


@pytest.mark.parametrize("path", [API, API + "/heartbeat"])
def test_heartbeat(api_client: ApiClient, path: str) -> None:
    response = api_client.request("GET", path)
    assert response.status_code == 200
    assert list(response.json()) == ["nanosecond heartbeat"]
    assert abs(response.json()["nanosecond heartbeat"] / 1e9 - time.time()) < 60
    assert "chroma-trace-id" not in response.headers


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/healthcheck", {"is_executor_ready": True, "is_log_client_ready": True}),
        ("/version", "1.0.0"),
        ("/pre-flight-checks", {"max_batch_size": 5461, "supports_base64_encoding": True}),
        ("/auth/identity", {"user_id": "", "tenant": "default_tenant", "databases": ["default_database"]}),
    ],
)
def test_constants(api_client: ApiClient, path: str, expected: object) -> None:
    response = api_client.request("GET", API + path)
    assert response.status_code == 200
    assert response.json() == expected
    assert response.headers["content-type"] == "application/json"


def test_reset_is_off(api_client: ApiClient) -> None:
    assert_error(api_client.request("POST", API + "/reset"), 403, "Reset is disabled by config")


def empty(response: httpx.Response, status: int) -> None:
    assert response.status_code == status
    assert response.content == b""
    assert re.fullmatch("[0-9a-f]{32}", response.headers["chroma-trace-id"])


@pytest.mark.parametrize(
    "path", ["/nope", "/api", "/api/v1/", "/api/v1/nope", API + "/", API + "/nope", DATABASE + "/collections/"]
)
def test_unknown_paths(api_client: ApiClient, path: str) -> None:
    empty(api_client.request("GET", path), 404)
    empty(api_client.request("POST", path, {}), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", API + "/heartbeat", "GET,HEAD"),
        ("OPTIONS", API + "/heartbeat", "GET,HEAD"),
        ("DELETE", API + "/tenants/default_tenant", "GET,HEAD,PATCH"),
        ("PUT", DATABASE + "/collections", "GET,HEAD,POST"),
        ("GET", DATABASE + "/collections/x/add", "POST"),
        ("HEAD", DATABASE + "/collections/x/add", "POST"),
    ],
)
def test_wrong_methods(api_client: ApiClient, method: str, path: str, allowed: str) -> None:
    response = api_client.request(method, path)
    empty(response, 405)
    assert response.headers["allow"] == allowed


def test_head(api_client: ApiClient) -> None:
    response = api_client.request("HEAD", API + "/version")
    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["content-length"] == "7"


@pytest.mark.parametrize(
    "kind",
    ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8", "application/vnd.api+json", None],
)
def test_json_by_its_names(api_client: ApiClient, kind: str | None) -> None:
    request = api_client.http.build_request("POST", DATABASE + "/collections/x/get", content=b"{}")
    assert "content-type" not in request.headers
    if kind is not None:
        request.headers["content-type"] = kind
    assert_error(api_client.http.send(request), 400, "Collection ID is not a valid UUIDv4")


@pytest.mark.parametrize(
    "kind", ["text/plain", "", "application/octet-stream", "text/json", "application/x-www-form-urlencoded"]
)
def test_other_types(api_client: ApiClient, kind: str) -> None:
    response = api_client.request(
        "POST", DATABASE + "/collections/x/get", content=b"{}", headers={"content-type": kind}
    )
    assert_error(response, 415, "Expected request with `Content-Type: application/json`")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"ids":["a"]} x',
        b'{"ids":NaN}',
        b'{"limit":Infinity}',
        b'{"ids":["\xff"]}',
        b'{"ids":["\\ud800"]}',
        b'{"limit":1e400}',
        b"{'ids':[]}",
        b"[" * 100_000,
        b'{"where":' * 2_000 + b"1" + b"}" * 2_000,
    ],
)
def test_what_is_no_json(api_client: ApiClient, body: bytes) -> None:
    response = api_client.request("POST", DATABASE + "/collections/x/get", content=body)
    assert response.status_code == 400
    assert response.json()["error"] == "InvalidArgumentError"
    assert response.json()["message"].startswith("Failed to parse the request body as JSON: ")


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("limit=-1", "limit: invalid digit found in string"),
        ("limit=a", "limit: invalid digit found in string"),
        ("limit=1.5", "limit: invalid digit found in string"),
        ("limit=%201", "limit: invalid digit found in string"),
        ("limit=%D9%A1", "limit: invalid digit found in string"),
        ("limit=", "limit: cannot parse integer from empty string"),
        ("limit=4294967296", "limit: number too large to fit in target type"),
        ("offset=" + "9" * 5_000, "offset: number too large to fit in target type"),
        ("offset=-1", "offset: invalid digit found in string"),
        ("limit=1&limit=2", "duplicate field `limit`"),
    ],
)
@pytest.mark.parametrize("path", [DATABASE + "/collections", API + "/tenants/default_tenant/databases"])
def test_wrong_pages(api_client: ApiClient, path: str, query: str, what: str) -> None:
    assert_error(api_client.request("GET", f"{path}?{query}"), 400, f"Failed to deserialize query string: {what}")


def test_pages_ignore_what_they_do_not_know(api_client: ApiClient) -> None:
    assert api_client.request("GET", DATABASE + "/collections?limit=0&bogus=1&bogus=2&%ff").json() == []


@pytest.mark.parametrize("name", ["ab", "%C3%A9", "%2F%2F"])
@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("GET", "", None),
        ("GET", "/collections", None),
        ("GET", "/collections_count", None),
        ("GET", "/collections/abc", None),
        ("GET", "/collections/by-id/abc", None),
        ("DELETE", "/collections/abc", None),
        ("POST", "/collections", {"name": "a"}),
        ("POST", "/collections/x/add", {"ids": [], "embeddings": []}),
        ("GET", "/collections/x/count", None),
    ],
)
def test_short_database_names(
    api_client: ApiClient, name: str, method: str, rest: str, body: dict[str, object] | None
) -> None:
    response = api_client.request(method, f"{API}/tenants/default_tenant/databases/{name}{rest}", body)
    assert_error(response, 400, "database name must be at least 3 characters")


def test_paths_that_are_not_utf8(api_client: ApiClient) -> None:
    response = api_client.request("GET", API + "/tenants/%ff%fe%fd")
    assert_error(response, 400, "Invalid URL: tenant is not valid UTF-8: %ff%fe%fd")
