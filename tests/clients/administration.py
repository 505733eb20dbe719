"""Tenants and databases with `AdminClient`, and clients of them: `-m tests.clients.administration URL`.

`OUTCOME` is the same for every client; older clients omit the steps for which they have no method.
"""

import json
import sys
from typing import Any

import chromadb
from chromadb.config import Settings

from tests.clients.scenario import Outcome, address, error_kind, names

OUTCOME: Outcome = {
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
    """The settings of a client over HTTP."""
    host, port = address(url)
    return Settings(
        chroma_api_impl="chromadb.api.fastapi.FastAPI",
        chroma_server_host=host,
        chroma_server_http_port=port,
        anonymized_telemetry=False,
    )


def run(url: str) -> Outcome:
    """The outcomes."""
    admin: Any = chromadb.AdminClient(settings(url))

    def client(tenant: str, database: str) -> Any:
        host, port = address(url)
        return chromadb.HttpClient(
            host=host, port=port, tenant=tenant, database=database, settings=Settings(anonymized_telemetry=False)
        )

    outcome: Outcome = {}
    admin.create_tenant("acme")
    outcome["tenant"] = admin.get_tenant("acme")["name"]
    outcome["tenant made twice"] = error_kind(admin.create_tenant, "acme")
    outcome["tenant missing"] = error_kind(admin.get_tenant, "nosuch")
    admin.create_database("books", "acme")
    admin.create_database("films", "acme")
    found = admin.get_database("books", "acme")
    outcome["database"] = [found["name"], found["tenant"]]
    outcome["database made twice"] = error_kind(admin.create_database, "books", "acme")
    outcome["database missing"] = error_kind(admin.get_database, "nosuch", "acme")
    outcome["client of a missing tenant"] = error_kind(client, "nosuch", "books")
    outcome["client of a missing database"] = error_kind(client, "acme", "nosuch")
    books, films = client("acme", "books"), client("acme", "films")
    for database, record in ((books, "a"), (films, "b")):
        database.create_collection("poems", embedding_function=None).add(ids=[record], embeddings=[[1.0, 2.0]])
    outcome["collections of each"] = [names(books), names(films), names(client("default_tenant", "default_database"))]
    poems = [database.get_collection("poems", embedding_function=None) for database in (books, films)]
    outcome["records of each"] = [collection.get()["ids"] for collection in poems]
    books.set_database("films")
    outcome["by the name in the other"] = books.get_collection("poems", embedding_function=None).get()["ids"]
    if hasattr(admin, "list_databases"):
        outcome["databases"] = [database["name"] for database in admin.list_databases(tenant="acme")]
        outcome["databases, a page"] = [database["name"] for database in admin.list_databases(1, 1, tenant="acme")]
        admin.delete_database("films", "acme")
        outcome["database deleted"] = [database["name"] for database in admin.list_databases(tenant="acme")]
        outcome["database deleted twice"] = error_kind(admin.delete_database, "films", "acme")
    return outcome


if __name__ == "__main__":
    json.dump(run(sys.argv[1]), sys.stdout)
