"""The application over a real engine in one process, and short names for its routes."""

from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

API = "/api/v2"
DATABASE = API + "/tenants/default_tenant/databases/default_database"

_names = count()


@dataclass(frozen=True, slots=True)
class Face:
    """The server as a client sees it."""

    http: httpx.Client

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        if body is not None:
            options["json"] = body
        return self.http.request(method, path, **options)

    def collection(self, database: str = DATABASE, **body: Any) -> "CollectionFace":
        body.setdefault("name", f"collection-{next(_names)}")
        answer = self.call("POST", database + "/collections", body)
        assert answer.status_code == 200, answer.text
        return CollectionFace(self, database, answer.json())


@dataclass(frozen=True, slots=True)
class CollectionFace:
    """One collection; `created` is what its creation answered."""

    face: Face
    database: str
    created: dict[str, Any]

    @property
    def path(self) -> str:
        return f"{self.database}/collections/{self.created['id']}"

    def post(self, operation: str, **body: Any) -> httpx.Response:
        return self.face.call("POST", f"{self.path}/{operation}", body)

    def raw(self, operation: str, content: bytes) -> httpx.Response:
        return self.face.call("POST", f"{self.path}/{operation}", content=content)

    def get(self, operation: str) -> httpx.Response:
        return self.face.call("GET", f"{self.path}/{operation}")

    def add(self, **body: Any) -> "CollectionFace":
        answer = self.post("add", **body)
        assert answer.status_code == 201, answer.text
        return self

    def now(self) -> dict[str, Any]:
        answer = self.face.call("GET", f"{self.database}/collections/by-id/{self.created['id']}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def records(self, *fields: str) -> dict[str, Any]:
        answer = self.post("get", **({"include": list(fields)} if fields else {}))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def refused(answer: httpx.Response, status: int, message: str, name: str | None = None) -> None:
    """The answer is this error, whole."""
    names = {400: "InvalidArgumentError", 404: "NotFoundError", 500: "InternalError"}
    assert answer.status_code == status, answer.text
    assert answer.json() == {"error": name or names.get(status, "ChromaError"), "message": message}
    assert answer.headers["content-type"] == "application/json"
    trace = answer.headers["chroma-trace-id"]
    assert len(trace) == 32
    assert set(trace) <= set("0123456789abcdef")


def malformed(answer: httpx.Response, what: str) -> None:
    """The answer is the 422 that says so."""
    refused(answer, 422, f"Failed to deserialize the JSON body into the target type: {what}")
