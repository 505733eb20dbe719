"""An import's sink over HTTP: this server or Chroma.

The progress cannot be one transaction with the batch: it is written after it. *Crash between: the next attempt sends
the batch again, over whatever was written to its records in between.*
"""

from binascii import b2a_base64
from typing import Any
from urllib.parse import quote

import numpy as np

from afterglow.bulk.http_connection import HttpConnection
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sink import TargetCollection
from afterglow.bulk.types import ImportRejected, Plan, RangeConflict, Target
from afterglow.collection import Batch
from afterglow.errors import AlreadyExists, Forbidden, InvalidArgument, NotFound, TooLarge, Unauthenticated
from afterglow.storage.ports import ConditionFailed, Put, Table


class ServerSink:
    """A server; the progress is stored in the `table` of this machine."""

    def __init__(self, connection: HttpConnection, table: Table) -> None:
        """Raises Unavailable, and what the server refuses."""
        self._connection = connection
        self._table = table
        limits = connection.call("GET", "/api/v2/pre-flight-checks")
        self.max_rows = int(limits["max_batch_size"])
        self._takes_base64 = bool(limits.get("supports_base64_encoding"))

    def open(self, target: Target, sidecar: Sidecar) -> TargetCollection:
        """The collection, created if it does not exist. Raises ImportRejected."""
        body = {name: value for name, value in sidecar.create_request(target.collection).items() if value is not None}
        try:
            created = self._connection.call("POST", f"{_database(target)}/collections", body)
        except (AlreadyExists, Forbidden, InvalidArgument, NotFound, Unauthenticated) as error:
            raise ImportRejected(error.message) from None
        return TargetCollection(str(created["id"]), created["dimension"])

    def write(self, plan: Plan, batch: Batch, progress_write: Put) -> None:
        """Send the batch, then advance the range."""
        self._send(plan, batch, slice(0, len(batch.ids)))
        try:
            self._table.transact([progress_write])
        except ConditionFailed as conflict:
            raise RangeConflict(conflict.message) from None

    def _send(self, plan: Plan, batch: Batch, rows: slice) -> None:
        """Send the rows in one request, or each half of them if the server refuses its size."""
        path = f"{_database(plan.target)}/collections/{plan.collection_id}/upsert"
        try:
            self._connection.call("POST", path, self._body(batch, rows))
        except (Forbidden, Unauthenticated) as error:
            raise ImportRejected(error.message) from None
        except TooLarge:
            middle = (rows.start + rows.stop) // 2
            if middle == rows.start:
                raise
            self._send(plan, batch, slice(rows.start, middle))
            self._send(plan, batch, slice(middle, rows.stop))

    def _body(self, batch: Batch, rows: slice) -> dict[str, Any]:
        body: dict[str, Any] = {"ids": batch.ids[rows]}
        if batch.vectors is not None:
            vectors = np.ascontiguousarray(batch.vectors[rows], dtype="<f4")
            encoded = [b2a_base64(row, newline=False).decode() for row in vectors] if self._takes_base64 else vectors
            body["embeddings"] = encoded
        for name, column in (("documents", batch.documents), ("metadatas", batch.metadatas), ("uris", batch.uris)):
            if column is not None:
                body[name] = column[rows]
        return body


def _database(target: Target) -> str:
    return f"/api/v2/tenants/{quote(target.tenant, safe='')}/databases/{quote(target.database, safe='')}"
