"""Qdrant, by its HTTP API: points in the order of their ids, a page of `scroll` at a time.

| Qdrant | here |
|---|---|
| id: a number or a UUID | id |
| vector; of several named ones that of `--embedding` | embedding |
| named sparse vectors | metadata of this name, sparse |
| payload | document and metadata, by the usual names |
| distance Cosine, Euclid, Dot | space cosine, l2, ip; Manhattan has none, and becomes l2 |

With Cosine, Qdrant stores vectors of length 1 and returns these.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

from afterglow.bulk.databases.database_source import (
    EMBEDDING,
    ID,
    DatabaseSource,
    Page,
    chosen_vector,
    sparse_vector,
)
from afterglow.bulk.http_connection import HttpConnection
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.types import ImportRejected

KEY_HEADER = "api-key"
_PAGE_ROWS = 256
_SKIPPED_ROWS = 10_000
"""Ids alone in one page, while rows are skipped."""
_SPACES = {"Cosine": "cosine", "Euclid": "l2", "Dot": "ip", "Manhattan": "l2"}


def collections(connection: HttpConnection) -> list[str]:
    """The names of all collections. Raises Unavailable."""
    found = connection.call("GET", "/collections")
    try:
        return sorted(item["name"] for item in found["result"]["collections"])
    except (KeyError, TypeError):
        raise ImportRejected(f"{connection.url} does not answer as Qdrant does") from None


def open_collection(connection: HttpConnection, name: str, embedding: str | None) -> DatabaseSource:
    """A collection; `embedding` names one of several vectors. Raises ImportRejected, NotFound, Unavailable."""
    path = f"/collections/{quote(name, safe='')}"
    params = connection.call("GET", path)["result"]["config"]["params"]
    vectors: dict[str, Any] = params.get("vectors") or {}
    chosen = None if "size" in vectors else chosen_vector(name, list(vectors), embedding)
    described = vectors if chosen is None else vectors[chosen]
    count = connection.call("POST", f"{path}/points/count", {"exact": True})["result"]["count"]
    read = partial(_pages, connection, f"{path}/points/scroll", chosen, sorted(params.get("sparse_vectors") or {}))
    options = Sidecar(
        columns={"id": ID, "embedding": EMBEDDING},
        space=_SPACES.get(described["distance"]),
        dimension=described["size"],
    )
    return DatabaseSource(connection.url, name, count, read, str(count), options)


def _pages(connection: HttpConnection, path: str, chosen: str | None, sparse: list[str], start: int) -> Iterator[Page]:
    after = None
    while start > 0:
        request = {"limit": min(start, _SKIPPED_ROWS), "with_payload": False, "with_vector": False, "offset": after}
        skipped = connection.call("POST", path, request)["result"]
        start, after = start - len(skipped["points"]), skipped["next_page_offset"]
        if after is None:
            return
    requested: bool | list[str] = True if chosen is None and not sparse else [chosen or "", *sparse]
    while True:
        request = {"limit": _PAGE_ROWS, "with_payload": True, "with_vector": requested, "offset": after}
        page = connection.call("POST", path, request)["result"]
        yield [_row(point, chosen, sparse) for point in page["points"]]
        after = page["next_page_offset"]
        if after is None:
            return


def _row(point: dict[str, Any], chosen: str | None, sparse: list[str]) -> dict[str, Any]:
    vectors = point.get("vector")
    named = vectors if isinstance(vectors, dict) else {"": vectors}
    row = {**(point.get("payload") or {}), ID: point["id"], EMBEDDING: named.get(chosen or "")}
    for name in sparse:
        value = named.get(name)
        if isinstance(value, dict):
            row[name] = sparse_vector(value["indices"], value["values"])
    return row
