"""The stock clients with credentials, as the usage guide shows them, against the server as a process."""

import asyncio
from collections.abc import Iterator
from typing import Any

import bcrypt
import chromadb
import httpx
import numpy as np
import pytest
from chromadb.api import ClientAPI
from chromadb.auth.token_authn import TokenTransportHeader
from chromadb.config import Settings
from chromadb.errors import ChromaAuthError, NotFoundError

from afterglow.auth import Role
from afterglow.auth.api_keys import Keys
from afterglow.deployment.local import open_local
from afterglow.settings import System
from tests.support.server import HOST, Server, running
from tests.wire.test_stock_client import session

TOKEN = "chromadb.auth.token_authn.TokenAuthClientProvider"
BASIC = "chromadb.auth.basic_authn.BasicAuthClientProvider"


VECTOR = np.array([[1.0, 2.0]], dtype=np.float32)


@pytest.fixture(autouse=True)
def closing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes the connections of clients that were refused while they were made: nobody else can."""
    created: list[httpx.Client] = []

    class Recorded(httpx.Client):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            created.append(self)

    monkeypatch.setattr(httpx, "Client", Recorded)
    yield
    for item in created:
        item.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Asks for keys, or for the password of the guide."""
    folder = tmp_path_factory.mktemp("closed")
    hashed = bcrypt.hashpw(b"admin", b"$2b$04$abcdefghijklmnopqrstuu").decode()
    (folder / "server.htpasswd").write_text(f"admin:{hashed}\n")
    env = {"AFTERGLOW_AUTH": "keys,htpasswd", "AFTERGLOW_AUTH_FILE": str(folder / "server.htpasswd")}
    with running(folder / "data", env=env) as server:
        yield server


def key(
    server: Server,
    role: Role,
    tenant: str | None,
    databases: list[str] | None = None,
    wheres: tuple[tuple[str, bytes], ...] | None = None,
) -> str:
    place = open_local(server.path, System())
    try:
        return Keys(place.table, System()).create(role, tenant, databases, wheres=wheres)[0]
    finally:
        place.table.close()


def http(server: Server, provider: str, credentials: str, **options: Any) -> ClientAPI:
    settings = Settings(
        chroma_client_auth_provider=provider,
        chroma_client_auth_credentials=credentials,
        anonymized_telemetry=False,
        **options,
    )
    return chromadb.HttpClient(HOST, server.port, settings=settings)


def use(client: ClientAPI, name: str) -> None:
    collection = client.create_collection(name, embedding_function=None)
    collection.add(ids=["a"], embeddings=VECTOR)
    assert collection.query(query_embeddings=VECTOR)["ids"] == [["a"]]
    client.delete_collection(name)


def test_passwords_as_in_the_guide(server: Server) -> None:
    with session(http(server, BASIC, "admin:admin")) as client:
        assert client.heartbeat() > 0
        assert client.get_version() == "1.0.0"
        use(client, "passwords")
    with pytest.raises(ChromaAuthError):
        http(server, BASIC, "admin:wrong")
    with pytest.raises(ChromaAuthError):
        chromadb.HttpClient(HOST, server.port)


@pytest.mark.parametrize("header", [TokenTransportHeader.AUTHORIZATION, TokenTransportHeader.X_CHROMA_TOKEN])
def test_tokens_as_in_the_guide(server: Server, header: TokenTransportHeader) -> None:
    token = key(server, Role.ADMIN, "default_tenant")
    with session(http(server, TOKEN, token, chroma_auth_token_transport_header=header)) as client:
        use(client, "tokens")
    with pytest.raises(ChromaAuthError):
        http(server, TOKEN, token[:-1], chroma_auth_token_transport_header=header)
    with session(chromadb.HttpClient(HOST, server.port, headers={"X-Chroma-Token": token})) as client:
        use(client, "headers")


def test_a_role_that_is_not_enough(server: Server) -> None:
    writer = key(server, Role.WRITER, "default_tenant")
    reader = key(server, Role.READER, "default_tenant")
    with session(http(server, TOKEN, writer)) as client:
        client.create_collection("roles", embedding_function=None).add(ids=["a"], embeddings=VECTOR)
        with pytest.raises(ChromaAuthError):
            client.reset()
    with session(http(server, TOKEN, reader)) as client:
        collection = client.get_collection("roles", embedding_function=None)
        assert collection.count() == 1
        with pytest.raises(ChromaAuthError):
            collection.add(ids=["b"], embeddings=VECTOR)
        with pytest.raises(ChromaAuthError):
            client.delete_collection("roles")


def test_a_key_with_a_filter(server: Server) -> None:
    owner = key(server, Role.WRITER, "default_tenant")
    ann = key(server, Role.WRITER, "default_tenant", wheres=(("shared", b'{"owner":"ann"}'),))
    with session(http(server, TOKEN, owner)) as client:
        shared = client.create_collection("shared", embedding_function=None)
        shared.add(ids=["of-bob"], embeddings=VECTOR, metadatas=[{"owner": "bob"}])
    with session(http(server, TOKEN, ann)) as client:
        assert [one.name for one in client.list_collections()] == ["shared"]
        own = client.get_or_create_collection("shared", embedding_function=None)
        own.upsert(ids=["of-ann"], embeddings=VECTOR, metadatas=[{"owner": "ann"}])
        assert own.query(query_embeddings=VECTOR)["ids"] == [["of-ann"]]
        assert (own.count(), own.get(ids=["of-bob"])["ids"]) == (1, [])
        with pytest.raises(ChromaAuthError):
            own.add(ids=["of-eve"], embeddings=VECTOR, metadatas=[{"owner": "eve"}])
        with pytest.raises(ChromaAuthError):
            client.delete_collection("shared")


def test_administration_and_a_scope(server: Server) -> None:
    root = key(server, Role.ADMIN, None)
    settings = Settings(
        chroma_api_impl="chromadb.api.fastapi.FastAPI",
        chroma_server_host=HOST,
        chroma_server_http_port=server.port,
        chroma_client_auth_provider=TOKEN,
        chroma_client_auth_credentials=root,
    )
    with session(chromadb.AdminClient(settings)) as admin:
        admin.create_tenant("acme")
        for name in ("books", "films"):
            admin.create_database(name, "acme")
    settings = settings.model_copy()
    settings.chroma_client_auth_credentials = key(server, Role.ADMIN, "acme", ["books"])
    with session(chromadb.AdminClient(settings)) as admin:
        assert [item["name"] for item in admin.list_databases(tenant="acme")] == ["books"]
        for call, *arguments in (
            (admin.get_database, "films", "acme"),
            (admin.get_database, "nosuch", "acme"),
            (admin.create_database, "more", "acme"),
            (admin.get_tenant, "default_tenant"),
            (admin.create_tenant, "another"),
        ):
            with pytest.raises(ChromaAuthError):
                call(*arguments)


def cloud(server: Server, api_key: str, tenant: str | None = None, database: str | None = None) -> ClientAPI:
    return chromadb.CloudClient(tenant, database, api_key, cloud_host=HOST, cloud_port=server.port, enable_ssl=False)


def test_a_cloud_client_finds_its_tenant_and_its_database(server: Server) -> None:
    with session(http(server, BASIC, "admin:admin")) as client:
        admin = client._admin_client
        admin.create_tenant("cloud")
        admin.create_database("only", "cloud")
        for api_key in (key(server, Role.WRITER, "cloud"), key(server, Role.WRITER, "cloud", ["only"])):
            with session(cloud(server, api_key)) as result:
                assert (result.tenant, result.database) == ("cloud", "only")
                use(result, "clouds")
        admin.create_database("second", "cloud")
        with session(cloud(server, key(server, Role.WRITER, "cloud"), database="second")) as result:
            use(result, "clouds")
        with pytest.raises(ChromaAuthError):
            cloud(server, key(server, Role.WRITER, "cloud", ["only"]), tenant="cloud", database="second")
    with pytest.raises(ChromaAuthError):
        cloud(server, "ck-wrong")


@pytest.mark.slow
def test_an_asynchronous_client(server: Server) -> None:
    async def story() -> None:
        token = key(server, Role.READER, "default_tenant")
        client = await chromadb.AsyncHttpClient(HOST, server.port, headers={"Authorization": f"Bearer {token}"})
        try:
            with pytest.raises(NotFoundError):
                await client.get_collection("nosuch")
            with pytest.raises(ChromaAuthError):
                await client.create_collection("asynchronous", embedding_function=None)
        finally:
            for item in client._server._clients.values():  # type: ignore[attr-defined]
                await item.aclose()

    asyncio.run(story())
