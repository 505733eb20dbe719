"""Clients with keys: `CloudClient` pointed at a server that asks for them, and the other ways to show one.

`-m tests.clients.cloud URL KEYS`; KEYS is JSON: an admin's key for all of the tenant, and a writer's and a reader's for
the database `books`.
"""

import json
import sys
from typing import Any

import chromadb
from chromadb.config import Settings

from tests.clients.administration import settings
from tests.clients.scenario import Told, address, names, refused, version

OUTCOME: Told = {
    "an admin": ["books", "films"],
    "written": 1,
    "read": ["a"],
    "a reader writes": "forbidden",
    "a reader makes a collection": "forbidden",
    "a writer makes a database": "forbidden",
    "another database": "forbidden",
    "a wrong key is refused": True,
    "no key is refused": True,
    "as a header": ["a"],
    "as a bearer": ["a"],
    "with a name": ["a"],
    "found by the key": ["default_tenant", "books", ["a"]],
}
SINCE = {"an admin": (0, 6, 0), "found by the key": (1, 0, 0)}


def run(url: str, keys: dict[str, str]) -> Told:
    """The outcomes."""
    host, port = address(url)

    def cloud(key: str, **place: Any) -> Any:
        quiet = Settings(anonymized_telemetry=False)
        return chromadb.CloudClient(
            api_key=key, settings=quiet, cloud_host=host, cloud_port=port, enable_ssl=False, **place
        )

    def http(headers: dict[str, str] | None = None, database: str = "books", **more: Any) -> Any:
        chosen = Settings(anonymized_telemetry=False, **more)
        return chromadb.HttpClient(host=host, port=port, headers=headers, database=database, settings=chosen)

    def poems(client: Any) -> Any:
        return client.get_collection("poems", embedding_function=None).get()["ids"]

    told: Told = {}
    books = {"tenant": "default_tenant", "database": "books"}
    by_key: Any = chromadb.AdminClient(_with_token(settings(url), keys["admin"]))
    by_key.create_database("books")
    by_key.create_database("films")
    if hasattr(by_key, "list_databases"):
        told["an admin"] = sorted(each["name"] for each in by_key.list_databases() if "default" not in each["name"])
    writer, reader = cloud(keys["writer"], **books), cloud(keys["reader"], **books)
    written = writer.create_collection("poems", embedding_function=None)
    written.add(ids=["a"], embeddings=[[1.0, 2.0]])
    told["written"] = written.count()
    told["read"] = poems(reader)
    seen = reader.get_collection("poems", embedding_function=None)
    told["a reader writes"] = refused(seen.add, ids=["b"], embeddings=[[1.0, 2.0]])
    told["a reader makes a collection"] = refused(reader.create_collection, "more", embedding_function=None)
    by_writer: Any = chromadb.AdminClient(_with_token(settings(url), keys["writer"]))
    told["a writer makes a database"] = refused(by_writer.create_database, "mine")
    told["another database"] = refused(lambda: names(http({"X-Chroma-Token": keys["reader"]}, "films")))
    # The last client of v1 tells of a tenant it could not connect to.
    told["a wrong key is refused"] = refused(lambda: names(cloud("ak-wrong", **books))) in {"forbidden", "not found"}
    told["no key is refused"] = refused(lambda: names(http())) in {"forbidden", "not found"}
    told["as a header"] = poems(http({"X-Chroma-Token": keys["reader"]}))
    token = "chromadb.auth.token_authn.TokenAuthClientProvider"
    told["as a bearer"] = poems(http(chroma_client_auth_provider=token, chroma_client_auth_credentials=keys["reader"]))
    basic = "chromadb.auth.basic_authn.BasicAuthClientProvider"
    named = f"somebody:{keys['reader']}"
    told["with a name"] = poems(http(chroma_client_auth_provider=basic, chroma_client_auth_credentials=named))
    if version() >= SINCE["found by the key"]:
        found = cloud(keys["reader"])
        told["found by the key"] = [found.tenant, found.database, poems(found)]
    return told


def _with_token(chosen: Settings, key: str) -> Settings:
    chosen.chroma_client_auth_provider = "chromadb.auth.token_authn.TokenAuthClientProvider"
    chosen.chroma_client_auth_credentials = key
    return chosen


if __name__ == "__main__":
    json.dump(run(sys.argv[1], json.loads(sys.argv[2])), sys.stdout)
