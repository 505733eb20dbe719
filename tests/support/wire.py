"""The Chroma routes over a bare client: what the fault and concurrency tests say to a server.

A call returns the decoded answer or raises `Refused` with status and message; a lost connection is `ConnectionLost`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from tests.support.http import BareClient, request_bytes

DATABASE = "/api/v2/tenants/default_tenant/databases/default_database"


class Refused(Exception):
    """An answer of 400 or above."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status}: {body[:500]!r}")
        self.status = status
        self.body = body

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


def json_bytes(value: Any) -> bytes:
    """`value` as JSON; numpy arrays become lists."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def build(method: str, path: str, body: Any = None) -> bytes:
    """A whole request with a JSON body."""
    return request_bytes(method, path, None if body is None else json_bytes(body))


@dataclass(frozen=True, slots=True)
class Wire:
    """Routes of the default database over one connection."""

    client: BareClient

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; `path` starts below the database."""
        answer = self.client.call(build(method, DATABASE + path, body))
        if answer.status >= 400:
            raise Refused(answer.status, answer.body)
        return orjson.loads(answer.body) if answer.body else None

    def create(self, name: str, **more: Any) -> str:
        """Get or create a collection; its id."""
        answer = self.call("POST", "/collections", {"name": name, "get_or_create": True, **more})
        return str(answer["id"])

    def write(self, collection: str, verb: str, body: Mapping[str, Any]) -> None:
        """`verb` is add, update or upsert."""
        self.call("POST", f"/collections/{collection}/{verb}", body)

    def delete(self, collection: str, body: Mapping[str, Any]) -> int:
        """The number of deleted records."""
        return int(self.call("POST", f"/collections/{collection}/delete", body)["deleted"])

    def get(self, collection: str, **body: Any) -> dict[str, Any]:
        """The answer of get."""
        answer: dict[str, Any] = self.call("POST", f"/collections/{collection}/get", body)
        return answer

    def query(
        self, collection: str, embeddings: Sequence[Sequence[float]] | NDArray[np.float32], **body: Any
    ) -> dict[str, Any]:
        """The answer of query."""
        answer: dict[str, Any] = self.call(
            "POST", f"/collections/{collection}/query", {"query_embeddings": embeddings, **body}
        )
        return answer

    def count(self, collection: str) -> int:
        """Records in the collection."""
        return int(self.call("GET", f"/collections/{collection}/count"))

    def unindexed(self, collection: str) -> int:
        """Operations not yet folded."""
        return int(self.call("GET", f"/collections/{collection}/indexing_status")["num_unindexed_ops"])
