"""The synchronous embedded clients: the behaviour of Chroma's client, over an engine in this process."""

import asyncio
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import chromadb
import numpy as np
import pytest
from chromadb import Collection
from chromadb.api import ClientAPI
from chromadb.api.client import Client
from chromadb.config import Settings
from chromadb.errors import ChromaError, NotFoundError

import afterglow
from afterglow.errors import Unavailable
from tests.clients.scenario import OUTCOME, run
from tests.embedded.matrix import matrix
from tests.support.server import HOST, running
from tests.wire.test_stock_client import session

pytestmark = pytest.mark.slow

VERSION = (1, 5, 9)
RESETTABLE = Settings(allow_reset=True, anonymized_telemetry=False)


def python(program: str, *arguments: str) -> str:
    """The output of a program in another process, which must succeed and write nothing to standard error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_an_ephemeral_client_passes_the_scenario_of_all_clients() -> None:
    with afterglow.EphemeralClient(RESETTABLE) as client:
        assert run(client, VERSION) == OUTCOME


def test_a_persistent_client_passes_the_scenario_of_all_clients(tmp_path: Path) -> None:
    with afterglow.PersistentClient(tmp_path, RESETTABLE) as client:
        assert run(client, VERSION) == OUTCOME


def test_the_classes_are_those_of_chromadb(tmp_path: Path) -> None:
    with afterglow.PersistentClient(tmp_path) as client:
        assert isinstance(client, Client)
        assert isinstance(client, ClientAPI)
        assert isinstance(client.create_collection("abc", embedding_function=None), Collection)


def test_data_stays_in_its_directory(tmp_path: Path) -> None:
    with afterglow.PersistentClient(str(tmp_path / "new" / "folder")) as client:
        client.create_collection("poems", embedding_function=None).add(ids=["a"], embeddings=matrix([1.0, 2.0]))
    with afterglow.PersistentClient(tmp_path / "new" / "folder") as client:
        assert client.get_collection("poems", embedding_function=None).get()["ids"] == ["a"]


def test_ephemeral_data_is_shared_until_the_last_closes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first, second = afterglow.EphemeralClient(), afterglow.EphemeralClient()
    first.create_collection("abc", embedding_function=None)
    first.close()
    assert [collection.name for collection in second.list_collections()] == ["abc"]
    assert len(list(tmp_path.iterdir())) == 1
    second.close()
    assert list(tmp_path.iterdir()) == []
    with afterglow.EphemeralClient() as third:
        assert third.list_collections() == []


def test_two_processes_open_one_path(tmp_path: Path) -> None:
    program = """
import sys, afterglow
with afterglow.PersistentClient(sys.argv[1]) as client:
    shared = client.get_collection("shared", embedding_function=None)
    shared.add(ids=["theirs"], embeddings=[[3.0, 4.0]])
    print(*shared.get()["ids"])
"""
    with afterglow.PersistentClient(tmp_path) as client:
        shared = client.create_collection("shared", embedding_function=None)
        shared.add(ids=["ours"], embeddings=matrix([1.0, 2.0]))
        assert python(program, str(tmp_path)) == "ours theirs"
        assert shared.get()["ids"] == ["ours", "theirs"]
        assert shared.query(query_embeddings=matrix([3.0, 4.0]), n_results=1)["ids"] == [["theirs"]]


def test_two_processes_write_to_one_path_at_once(tmp_path: Path) -> None:
    program = """
import sys, afterglow
with afterglow.PersistentClient(sys.argv[1]) as client:
    shared = client.get_or_create_collection("shared", embedding_function=None)
    for n in range(100):
        shared.add(ids=[f"{sys.argv[2]}-{n}"], embeddings=[[float(n), 1.0]])
    print(len([id for id in shared.get()["ids"] if id.startswith(sys.argv[2])]))
"""
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda name: python(program, str(tmp_path), name), ["one", "two"]))
    assert counts == ["100", "100"]
    with afterglow.PersistentClient(tmp_path) as client:
        assert client.get_collection("shared", embedding_function=None).count() == 200


def test_a_server_may_have_the_path_open_too(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server, afterglow.PersistentClient(tmp_path / "data") as client:
        client.create_collection("shared", embedding_function=None).add(ids=["a"], embeddings=matrix([1.0, 2.0]))
        with session(chromadb.HttpClient(HOST, server.port)) as other:
            other.get_collection("shared", embedding_function=None).add(ids=["b"], embeddings=matrix([3.0, 4.0]))
        assert client.get_collection("shared", embedding_function=None).count() == 2


def test_a_forked_process_must_open_the_path_again(tmp_path: Path) -> None:
    program = """
import os, sys, warnings, afterglow
client = afterglow.PersistentClient(sys.argv[1])
client.create_collection("ours", embedding_function=None)
warnings.simplefilter("ignore", DeprecationWarning)  # Python from 3.12 on on forks beside threads
child = os.fork()
if child == 0:
    try:
        client.heartbeat()
    except RuntimeError as error:
        with afterglow.PersistentClient(sys.argv[1]) as mine:
            mine.create_collection("theirs", embedding_function=None)
        sys.stdout.write(str(error))
        sys.stdout.flush()
        os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert client.count_collections() == 2
"""
    assert "before this process was forked" in python(program, str(tmp_path))


def test_an_unclosed_client_is_closed_when_the_process_ends(tmp_path: Path) -> None:
    program = """
import sys, tempfile, afterglow
tempfile.tempdir = sys.argv[1]
collection = afterglow.EphemeralClient().create_collection("abc", embedding_function=None)
collection.add(ids=["a"], embeddings=[[1.0]])
print(collection.count())
"""
    assert python(program, str(tmp_path)) == "1"
    assert list(tmp_path.iterdir()) == []


def test_a_closed_client_raises(tmp_path: Path) -> None:
    client = afterglow.PersistentClient(tmp_path)
    collection = client.create_collection("abc", embedding_function=None)
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        collection.count()
    with pytest.raises(RuntimeError, match="closed"):
        client.heartbeat()


def test_reset_fails_unless_allowed(tmp_path: Path) -> None:
    with afterglow.PersistentClient(tmp_path) as client:
        with pytest.raises(ChromaError, match="Reset is disabled"):
            client.reset()
        with pytest.raises(ValueError, match=r"already exists for .* with different settings"):
            afterglow.PersistentClient(tmp_path, RESETTABLE)
    with afterglow.PersistentClient(tmp_path, RESETTABLE) as client:
        client.create_collection("abc", embedding_function=None)
        assert client.reset()
        assert client.list_collections() == []


def test_tenant_and_database(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"Tenant \[acme\] not found"):
        afterglow.PersistentClient(tmp_path, tenant="acme")
    with afterglow.AdminClient(Settings(is_persistent=True, persist_directory=str(tmp_path))) as admin:
        admin.create_tenant("acme")
        admin.create_database("books", "acme")
        assert [database["name"] for database in admin.list_databases(tenant="acme")] == ["books"]
    with pytest.raises(NotFoundError, match=r"Database \[default_database\] not found"):
        afterglow.PersistentClient(tmp_path, tenant="acme")
    with (
        afterglow.PersistentClient(tmp_path, tenant="acme", database="books") as client,
        afterglow.PersistentClient(tmp_path) as other,
    ):
        client.create_collection("poems", embedding_function=None)
        assert other.list_collections() == []
        other.set_tenant("acme", "books")
        assert [collection.name for collection in other.list_collections()] == ["poems"]


def test_the_settings_of_the_caller_are_not_changed(tmp_path: Path) -> None:
    settings = Settings(
        anonymized_telemetry=False, chroma_server_host="example.com", chroma_server_headers={"x-a": "b"}
    )
    before = settings.model_dump()
    with afterglow.PersistentClient(tmp_path, settings) as client:
        assert client.get_settings().anonymized_telemetry is False
        assert client.get_settings().persist_directory == str(tmp_path)
    assert settings.model_dump() == before


def test_nothing_goes_over_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any) -> NoReturn:
        raise AssertionError("a connection was opened")

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setattr(socket.socket, "connect", fail)
    monkeypatch.setattr(socket.socket, "listen", fail)
    with afterglow.EphemeralClient() as client:
        client.create_collection("abc", embedding_function=None).add(ids=["a"], embeddings=matrix([1.0]))


def test_it_works_inside_a_running_loop() -> None:
    async def notebook() -> int:
        with afterglow.EphemeralClient() as client:
            return client.heartbeat()

    assert asyncio.run(notebook()) > 0


def test_many_threads_share_a_client() -> None:
    with afterglow.EphemeralClient() as client:
        collection = client.create_collection("abc", embedding_function=None)

        def write(thread: int) -> None:
            for n in range(20):
                collection.add(ids=[f"{thread}-{n}"], embeddings=matrix([float(thread), float(n)]))

        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for writer in threads:
            writer.start()
        for writer in threads:
            writer.join()
        assert collection.count() == 160


def test_a_batch_may_exceed_the_limit_of_a_server() -> None:
    rows, dimensions = 5_000, 2_048
    vectors = np.zeros((rows, dimensions), dtype=np.float32)
    vectors[:, 0] = np.arange(rows)
    with afterglow.EphemeralClient() as client:
        collection = client.create_collection("large", embedding_function=None)
        collection.add(ids=[str(n) for n in range(rows)], embeddings=vectors)
        assert collection.query(query_embeddings=vectors[77], n_results=1)["ids"] == [["77"]]


def test_names_with_non_ascii_characters() -> None:
    with afterglow.AdminClient() as admin:
        admin.create_tenant("jürgen & söhne")
        admin.create_database("books", "jürgen & söhne")
        with afterglow.EphemeralClient(tenant="jürgen & söhne", database="books") as client:
            assert client.count_collections() == 0


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(Unavailable, match="cannot be used"):
        afterglow.PersistentClient(tmp_path / "file")


def test_without_chromadb_the_error_names_the_package_to_install() -> None:
    program = """
import sys
sys.modules["chromadb"] = None
import afterglow
assert not {"numpy", "httpx", "starlette"} & set(sys.modules)
try:
    afterglow.EphemeralClient()
except ModuleNotFoundError as error:
    print(error)
"""
    assert 'pip install "afterglow-db[chromadb]"' in python(program)
