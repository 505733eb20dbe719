"""The application over a real engine in one process, and short names for its routes."""

from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

API = "/api/v2"
DATABASE = API + "/tenants/default_tenant/databases/default_database"

_names = count()


@dataclass(frozen=True, slots=True)
class ApiClient:
    """The server as a client sees it."""

    http: httpx.Client

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        if body is not None:
            options["json"] = body
        return self.http.request(method, path, **options)

    def collection(self, database: str = DATABASE, **body: Any) -> "CollectionClient":
        body.setdefault("name", f"collection-{next(_names)}")
        response = self.request("POST", database + "/collections", body)
        assert response.status_code == 200, response.text
        return CollectionClient(self, database, response.json())


@dataclass(frozen=True, slots=True)
class CollectionClient:
    """One collection; `created` is what its creation answered."""

    api_client: ApiClient
    database: str
    created: dict[str, Any]

    @property
    def path(self) -> str:
        return f"{self.database}/collections/{self.created['id']}"

    def post(self, operation: str, **body: Any) -> httpx.Response:
        return self.api_client.request("POST", f"{self.path}/{operation}", body)

    def raw(self, operation: str, content: bytes) -> httpx.Response:
        return self.api_client.request("POST", f"{self.path}/{operation}", content=content)

    def get(self, operation: str) -> httpx.Response:
        return self.api_client.request("GET", f"{self.path}/{operation}")

    def add(self, **body: Any) -> "CollectionClient":
        response = self.post("add", **body)
        assert response.status_code == 201, response.text
        return self

    def now(self) -> dict[str, Any]:
        response = self.api_client.request("GET", f"{self.database}/collections/by-id/{self.created['id']}")
        assert response.status_code == 200, response.text
        result: dict[str, Any] = response.json()
        return result

    def records(self, *fields: str) -> dict[str, Any]:
        response = self.post("get", **({"include": list(fields)} if fields else {}))
        assert response.status_code == 200, response.text
        result: dict[str, Any] = response.json()
        return result


def assert_error(response: httpx.Response, status: int, message: str, name: str | None = None) -> None:
    """The answer is this error, whole."""
    names = {400: "InvalidArgumentError", 404: "NotFoundError", 500: "InternalError"}
    assert response.status_code == status, response.text
    assert response.json() == {"error": name or names.get(status, "ChromaError"), "message": message}
    assert response.headers["content-type"] == "application/json"
    trace = response.headers["chroma-trace-id"]
    assert len(trace) == 32
    assert set(trace) <= set("0123456789abcdef")


def assert_invalid_body(response: httpx.Response, what: str) -> None:
    """The answer is the 422 that says so."""
    assert_error(response, 422, f"Failed to deserialize the JSON body into the target type: {what}")
