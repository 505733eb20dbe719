"""The nginx site: TLS and Basic authentication in front of a server, used by Chroma's client."""

import gc
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import chromadb
import httpx
import numpy as np
import pytest
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.config import Settings
from chromadb.errors import ChromaAuthError

from afterglow.settings import Settings as Ours
from tests.deploy import nginx
from tests.deploy.nginx import NAME, PASSWORD, USER, Proxy
from tests.support.server import HOST, running

pytestmark = [
    pytest.mark.skipif(nginx.program() is None, reason="nginx is not installed: make .nginx/.ready"),
    # Chroma's client does not close its connection if the constructor raises.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BASIC = "chromadb.auth.basic_authn.BasicAuthClientProvider"


@pytest.fixture(autouse=True)
def _collect_garbage() -> Iterator[None]:
    yield
    SharedSystemClient.clear_system_cache()
    gc.collect()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with (
        running(tmp_path_factory.mktemp("served") / "data") as server,
        nginx.running(tmp_path_factory.mktemp("nginx"), server) as proxy,
    ):
        yield proxy


def client(proxy: Proxy, credentials: str, **more: Any) -> Any:
    """Chroma's client with user name and password, over TLS."""
    settings = Settings(chroma_client_auth_provider=BASIC, chroma_client_auth_credentials=credentials)
    with mock.patch.dict("os.environ", SSL_CERT_FILE=str(proxy.certificate)):
        return chromadb.HttpClient(host=HOST, port=proxy.tls, ssl=True, settings=settings, **more)


@pytest.fixture
def web(proxy: Proxy) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=str(proxy.certificate))
    with httpx.Client(base_url=f"https://{NAME}:{proxy.tls}", verify=context, trust_env=False) as session:
        yield session


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    nginx.write_configuration(tmp_path, 8000)
    done = subprocess.run([*nginx.command(tmp_path), "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


def test_a_client_with_a_password(proxy: Proxy) -> None:
    chroma = client(proxy, f"{USER}:{PASSWORD}")
    books = chroma.create_collection("books", embedding_function=None)
    vectors = np.random.default_rng(3).standard_normal((2_000, 384)).astype(np.float32)
    # Several megabytes in one request and in one response.
    books.add(ids=[str(row) for row in range(2_000)], embeddings=vectors, documents=["x" * 500] * 2_000)
    assert books.count() == 2_000
    assert books.query(query_embeddings=vectors[7:8], n_results=1)["ids"] == [["7"]]
    response = books.get(include=["embeddings"])["embeddings"]
    np.testing.assert_array_equal(np.asarray(response, dtype=np.float32), vectors)
    chroma.delete_collection("books")


def test_wrong_credentials_raise_the_error_of_the_server(proxy: Proxy) -> None:
    for credentials in (f"{USER}:wrong", "nobody:at-all"):
        with pytest.raises(ChromaAuthError):
            client(proxy, credentials)


def test_the_response_without_credentials(web: httpx.Client) -> None:
    response = web.get("/api/v2/tenants/default_tenant/databases/default_database/collections")
    assert response.status_code == 401
    assert response.json()["error"] == "AuthError"
    assert response.headers["www-authenticate"] == 'Basic realm="afterglow"'
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_health_checks_need_no_password(web: httpx.Client, version: str) -> None:
    assert "nanosecond heartbeat" in web.get(f"/api/{version}/heartbeat").json()
    assert web.get(f"/api/{version}/version").status_code == 200
    assert web.get(f"/api/{version}/heartbeat/../pre-flight-checks").status_code == 401
    assert web.get("/").status_code == 401


def test_names_in_paths_are_not_changed(web: httpx.Client) -> None:
    base = "/api/v2/tenants/default_tenant/databases"
    web.auth = (USER, PASSWORD)
    name = "a%2Fb%20%C3%A4"
    missing = web.get(f"{base}/{name}")
    assert missing.status_code == 404
    assert "a/b ä" in missing.json()["message"]


def test_a_body_that_is_too_large_is_rejected_by_the_server(web: httpx.Client) -> None:
    web.auth = (USER, PASSWORD)
    body = b" " * (Ours().max_body_bytes + 1)
    response = web.post("/api/v2/tenants", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert response.json()["error"] == "ChromaError"


def test_requests_without_tls_are_redirected(proxy: Proxy) -> None:
    response = httpx.get(f"http://{NAME}:{proxy.plain}/api/v2/heartbeat?x=1", trust_env=False)
    assert response.status_code == 301
    assert response.headers["location"] == f"https://{NAME}/api/v2/heartbeat?x=1"


def test_an_api_key_for_the_server_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "nginx").mkdir()
    with (
        running(tmp_path / "data", env={"AFTERGLOW_AUTH": "token", "AFTERGLOW_AUTH_TOKEN": "secret"}) as server,
        nginx.running(tmp_path / "nginx", server) as proxy,
    ):
        chroma = client(proxy, f"{USER}:{PASSWORD}", headers={"X-Chroma-Token": "secret"})
        assert chroma.count_collections() == 0
        with pytest.raises(ChromaAuthError):
            client(proxy, f"{USER}:{PASSWORD}")
