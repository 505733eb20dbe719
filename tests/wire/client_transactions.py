"""Conditional transactions as Chroma's clients send them (its main branch of August 2026): bodies, headers, and what
each client checks in a response.

What a client refuses itself never reaches a server, and is not here: a second write of an id, a query, a read of what
it has written. A transaction without writes sends no commit.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

Send = Callable[[str, bytes, Mapping[str, str]], tuple[int, Any]]
"""Sends a body to a route of the collection; the status and the parsed response."""

CONFLICT = {"error": "ConditionalWriteConflictError", "message": "conditional write conflict"}
FIELDS = {"ids", "embeddings", "documents", "uris", "metadatas", "include", "read_token"}
INCLUDE = ["documents", "metadatas"]
_JSON = {"content-type": "application/json", "accept": "*/*"}


@dataclass(frozen=True, slots=True)
class Client:
    """One client: its headers, the fields that it always sends, and the greatest read token that it accepts."""

    headers: Mapping[str, str]
    read_fields: tuple[str, ...]
    write_fields: tuple[str, ...]
    max_token: int
    offset: int | None = None
    encodes_vectors: bool = False

    def read(self, token: int | None, given: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a read."""
        always = dict.fromkeys(self.read_fields) | {"offset": self.offset}
        sent = {name: value for name, value in always.items() if name in self.read_fields}
        return {**sent, "include": INCLUDE, **given, "read_token": token}

    def payload(self, operation: str, ids: list[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a write."""
        if operation == "delete":
            return {"ids": ids, "where": None, "where_document": None, "limit": None}
        fields = dict(given)
        if self.encodes_vectors and "embeddings" in fields:
            vectors = np.asarray(fields["embeddings"], "<f4")
            fields["embeddings"] = [base64.b64encode(vector.tobytes()).decode() for vector in vectors]
        return {"ids": ids, **dict.fromkeys(self.write_fields), **fields}


_ALL_READ = ("ids", "where", "where_document", "limit", "offset")
_ALL_WRITTEN = ("embeddings", "documents", "uris", "metadatas")
CLIENTS = {
    "python": Client(
        {**_JSON, "user-agent": "Chroma Python Client v1.6.0 (https://github.com/chroma-core/chroma)"},
        _ALL_READ,
        _ALL_WRITTEN,
        2**63 - 1,
    ),
    "typescript": Client({**_JSON, "user-agent": "node"}, (), (), 2**53 - 1, encodes_vectors=True),
    "rust": Client(
        {**_JSON, "user-agent": "Chroma Rust Client v0.15.0 (https://github.com/chroma-core/chroma)"},
        _ALL_READ,
        _ALL_WRITTEN,
        2**63 - 1,
        offset=0,
    ),
}


class ClientTransaction:
    """One transaction of one collection."""

    def __init__(self, client: Client, send: Send) -> None:
        self.token: int | None = None
        self.read_ids: set[str] = set()
        self._operations: list[dict[str, Any]] = []
        self._client, self._send = client, send

    def get(self, ids: list[str] | None = None, **given: Any) -> dict[str, Any]:
        """A read, checked as the client does."""
        fields = given if ids is None else {"ids": ids, **given}
        status, read = self._post("conditional/get", self._client.read(self.token, fields))
        assert (status, set(read)) == (200, FIELDS), read
        token = read["read_token"]
        assert type(token) is int
        assert 0 < token <= self._client.max_token
        assert self.token in (None, token), "all reads of a transaction have the same token"
        self.token = token
        self.read_ids.update(ids or (), read["ids"])
        assert read["include"] == fields.get("include", INCLUDE)
        return dict(read)

    def write(self, operation: str, ids: list[str], **given: Any) -> None:
        """Keep an operation for the commit."""
        payload = self._client.payload(operation, ids, given)
        self._operations.append({"operation": operation, "payload": payload})

    def send_commit(self) -> tuple[int, Any]:
        """The status and the response of the commit."""
        assert self._operations, "the clients send no commit without writes"
        body = {"read_token": self.token, "read_ids": sorted(self.read_ids), "operations": self._operations}
        return self._post("conditional/commit", body)

    def commit(self) -> int:
        """Commit; the number of records that the response has."""
        status, result = self.send_commit()
        assert (status, set(result)) == (200, {"first_inserted_record_offset", "record_count"}), result
        assert type(result["first_inserted_record_offset"]) in (int, type(None))
        return int(result["record_count"])

    def _post(self, route: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        return self._send(route, orjson.dumps(body), self._client.headers)
