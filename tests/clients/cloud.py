"""Clients with API keys: `CloudClient` pointed at a server that requires keys, and the other ways to send a key.

`-m tests.clients.cloud URL KEYS`; KEYS is JSON: an admin key for the tenant, a writer key and a reader key for the
database `books`.
"""

import json
import sys
from typing import Any

import chromadb
from chromadb.config import Settings

from tests.clients.administration import settings
from tests.clients.scenario import Outcome, address, error_kind, names, version

OUTCOME: Outcome = {
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


def run(url: str, keys: dict[str, str]) -> Outcome:
    """The outcomes."""
    host, port = address(url)

    def cloud(key: str, **scope: Any) -> Any:
        quiet = Settings(anonymized_telemetry=False)
        return chromadb.CloudClient(
            api_key=key, settings=quiet, cloud_host=host, cloud_port=port, enable_ssl=False, **scope
        )

    def http(headers: dict[str, str] | None = None, database: str = "books", **more: Any) -> Any:
        client_settings = Settings(anonymized_telemetry=False, **more)
        return chromadb.HttpClient(host=host, port=port, headers=headers, database=database, settings=client_settings)

    def poems(client: Any) -> Any:
        return client.get_collection("poems", embedding_function=None).get()["ids"]

    outcome: Outcome = {}
    books = {"tenant": "default_tenant", "database": "books"}
    by_key: Any = chromadb.AdminClient(_with_token(settings(url), keys["admin"]))
    by_key.create_database("books")
    by_key.create_database("films")
    if hasattr(by_key, "list_databases"):
        outcome["an admin"] = sorted(
            database["name"] for database in by_key.list_databases() if "default" not in database["name"]
        )
    writer, reader = cloud(keys["writer"], **books), cloud(keys["reader"], **books)
    written = writer.create_collection("poems", embedding_function=None)
    written.add(ids=["a"], embeddings=[[1.0, 2.0]])
    outcome["written"] = written.count()
    outcome["read"] = poems(reader)
    seen = reader.get_collection("poems", embedding_function=None)
    outcome["a reader writes"] = error_kind(seen.add, ids=["b"], embeddings=[[1.0, 2.0]])
    outcome["a reader makes a collection"] = error_kind(reader.create_collection, "more", embedding_function=None)
    by_writer: Any = chromadb.AdminClient(_with_token(settings(url), keys["writer"]))
    outcome["a writer makes a database"] = error_kind(by_writer.create_database, "mine")
    outcome["another database"] = error_kind(lambda: names(http({"X-Chroma-Token": keys["reader"]}, "films")))
    # The last client of v1 reports a tenant that it could not connect to.
    outcome["a wrong key is refused"] = error_kind(lambda: names(cloud("ak-wrong", **books))) in {
        "forbidden",
        "not found",
    }
    outcome["no key is refused"] = error_kind(lambda: names(http())) in {"forbidden", "not found"}
    outcome["as a header"] = poems(http({"X-Chroma-Token": keys["reader"]}))
    token = "chromadb.auth.token_authn.TokenAuthClientProvider"
    outcome["as a bearer"] = poems(
        http(chroma_client_auth_provider=token, chroma_client_auth_credentials=keys["reader"])
    )
    basic = "chromadb.auth.basic_authn.BasicAuthClientProvider"
    name_and_key = f"somebody:{keys['reader']}"
    outcome["with a name"] = poems(http(chroma_client_auth_provider=basic, chroma_client_auth_credentials=name_and_key))
    if version() >= SINCE["found by the key"]:
        found = cloud(keys["reader"])
        outcome["found by the key"] = [found.tenant, found.database, poems(found)]
    return outcome


def _with_token(settings: Settings, key: str) -> Settings:
    settings.chroma_client_auth_provider = "chromadb.auth.token_authn.TokenAuthClientProvider"
    settings.chroma_client_auth_credentials = key
    return settings


if __name__ == "__main__":
    json.dump(run(sys.argv[1], json.loads(sys.argv[2])), sys.stdout)
