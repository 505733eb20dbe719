"""Tenants and databases by `AdminClient`, and clients within them: `-m tests.clients.administration URL`.

`OUTCOME` is the same for every client; the older leave out what they have no method for.
"""

import json
import sys
from typing import Any

import chromadb
from chromadb.config import Settings

from tests.clients.scenario import Told, address, names, refused

OUTCOME: Told = {
    "tenant": "acme",
    "tenant made twice": "already exists",
    "tenant missing": "not found",
    "database": ["books", "acme"],
    "database made twice": "already exists",
    "database missing": "not found",
    "client of a missing tenant": "not found",
    "client of a missing database": "not found",
    "collections of each": [["poems"], ["poems"], []],
    "records of each": [["a"], ["b"]],
    "by the name in the other": ["b"],
    "databases": ["books", "films"],
    "databases, a page": ["films"],
    "database deleted": ["books"],
    "database deleted twice": "not found",
}
SINCE = {"databases": (0, 6, 0), "databases, a page": (0, 6, 0)}
SINCE |= {"database deleted": (0, 6, 0), "database deleted twice": (0, 6, 0)}


def settings(url: str) -> Settings:
    """Those of a client over HTTP."""
    host, port = address(url)
    return Settings(
        chroma_api_impl="chromadb.api.fastapi.FastAPI",
        chroma_server_host=host,
        chroma_server_http_port=port,
        anonymized_telemetry=False,
    )


def run(url: str) -> Told:
    """The outcomes."""
    admin: Any = chromadb.AdminClient(settings(url))

    def client(tenant: str, database: str) -> Any:
        host, port = address(url)
        return chromadb.HttpClient(
            host=host, port=port, tenant=tenant, database=database, settings=Settings(anonymized_telemetry=False)
        )

    told: Told = {}
    admin.create_tenant("acme")
    told["tenant"] = admin.get_tenant("acme")["name"]
    told["tenant made twice"] = refused(admin.create_tenant, "acme")
    told["tenant missing"] = refused(admin.get_tenant, "nosuch")
    admin.create_database("books", "acme")
    admin.create_database("films", "acme")
    found = admin.get_database("books", "acme")
    told["database"] = [found["name"], found["tenant"]]
    told["database made twice"] = refused(admin.create_database, "books", "acme")
    told["database missing"] = refused(admin.get_database, "nosuch", "acme")
    told["client of a missing tenant"] = refused(client, "nosuch", "books")
    told["client of a missing database"] = refused(client, "acme", "nosuch")
    books, films = client("acme", "books"), client("acme", "films")
    for each, record in ((books, "a"), (films, "b")):
        each.create_collection("poems", embedding_function=None).add(ids=[record], embeddings=[[1.0, 2.0]])
    told["collections of each"] = [names(books), names(films), names(client("default_tenant", "default_database"))]
    poems = [each.get_collection("poems", embedding_function=None) for each in (books, films)]
    told["records of each"] = [each.get()["ids"] for each in poems]
    books.set_database("films")
    told["by the name in the other"] = books.get_collection("poems", embedding_function=None).get()["ids"]
    if hasattr(admin, "list_databases"):
        told["databases"] = [each["name"] for each in admin.list_databases(tenant="acme")]
        told["databases, a page"] = [each["name"] for each in admin.list_databases(1, 1, tenant="acme")]
        admin.delete_database("films", "acme")
        told["database deleted"] = [each["name"] for each in admin.list_databases(tenant="acme")]
        told["database deleted twice"] = refused(admin.delete_database, "films", "acme")
    return told


if __name__ == "__main__":
    json.dump(run(sys.argv[1]), sys.stdout)
