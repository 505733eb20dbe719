"""A server of ours as a side says, and does, what its directory does; a connection asks again where that helps."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import numpy as np
import orjson
import pytest

from afterglow.bulk.endpoint import CollectionInfo
from afterglow.bulk.http_connection import HttpConnection
from afterglow.bulk.http_endpoint import HttpEndpoint
from afterglow.collection.types import Records
from afterglow.errors import AlreadyExists, InvalidArgument, NotFound, TooLarge, Unauthenticated, Unavailable
from afterglow.settings import System
from tests.bulk.records import everything, plain
from tests.support.server import Server, free_port, running

LIMITS = {"AFTERGLOW_MAX_BODY_BYTES": "4000", "AFTERGLOW_MAX_RESPONSE_BYTES": "6000", "AFTERGLOW_MAX_BATCH_SIZE": "50"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("remote") / "data", env=LIMITS) as started:
        yield started


@pytest.fixture
def remote(server: Server) -> Iterator[HttpEndpoint]:
    connection = HttpConnection(f"http://{server.host}:{server.port}/", System())
    yield HttpEndpoint(connection)
    connection.close()


def records(count: int) -> Records:
    return Records(
        ids=[f"id {number}" for number in range(count)],
        embeddings=np.random.default_rng(7).standard_normal((count, 8)).astype(np.float32),
        documents=["doc" * (number % 20) if number % 3 else None for number in range(count)],
        metadatas=[
            orjson.dumps({"i": number, "f": float(number), "b": True, "l": [1.0, 2.0], "s": "ключ"})
            if number % 4
            else None
            for number in range(count)
        ],
        uris=[None if number % 5 else f"u:{number}" for number in range(count)],
    )


def test_all_of_a_side(remote: HttpEndpoint) -> None:
    """With limits so low that requests and answers are taken apart."""
    like = CollectionInfo(
        "", "some tenant", "some.database", "moved", {"hnsw": {"space": "ip"}}, metadata={"a": 1, "b": 1.5}
    )
    for _ in range(2):
        remote.create_database(like.tenant, like.database)
    assert remote.databases(like.tenant) == [like.database]
    assert remote.find(like.tenant, like.database, like.name) is None
    made = remote.create_collection(like)
    with pytest.raises(AlreadyExists):
        remote.create_collection(like)
    assert made.configuration["hnsw"]["space"] == "ip"
    assert made.metadata == like.metadata
    assert remote.find(like.tenant, like.database, like.name) == made
    assert remote.find(like.tenant, like.database, made.id) is None
    assert everything(remote.read(made)) == []
    source_records = records(200)
    for start in range(0, 200, remote.max_rows):
        rows = slice(start, start + remote.max_rows)
        remote.add(
            made,
            Records(
                source_records.ids[rows],
                source_records.embeddings[rows],  # type: ignore[index]
                source_records.documents[rows],  # type: ignore[index]
                source_records.metadatas[rows],  # type: ignore[index]
                source_records.uris[rows],  # type: ignore[index]
            ),
        )
    assert remote.count(made) == 200
    assert everything(remote.read(made)) == plain(source_records)
    assert everything(remote.read(made, offset=150)) == plain(source_records)[150:]
    got = remote.get(made, ["id 3", "nosuch", "id 180"])
    assert plain(got) == [plain(source_records)[3], plain(source_records)[180]]
    (listed,) = remote.collections(like.tenant, like.database)
    assert (listed.name, listed.dimension) == ("moved", 8)
    remote.create_collection(
        CollectionInfo("", like.tenant, like.database, "again", schema=listed.schema, metadata=listed.metadata)
    )
    again = remote.find(like.tenant, like.database, "again")
    assert again is not None
    assert again.schema == listed.schema


def test_a_record_that_is_too_large_alone(remote: HttpEndpoint) -> None:
    made = remote.create_collection(CollectionInfo("", "default_tenant", "default_database", "large"))
    with pytest.raises(TooLarge):
        remote.add(made, Records(["a", "b"], np.ones((2, 2), dtype=np.float32), documents=["x" * 9000, "y"]))


def test_refusals_are_the_librarys(server: Server, remote: HttpEndpoint) -> None:
    with pytest.raises(NotFound, match=r"^http://.* answered 404: "):
        remote.count(
            CollectionInfo("00000000-0000-4000-8000-000000000000", "default_tenant", "default_database", "none")
        )
    with pytest.raises(InvalidArgument, match="answered 400: "):
        remote.create_collection(CollectionInfo("", "default_tenant", "default_database", "x"))


@pytest.mark.parametrize("url", ["ftp://host", "localhost:8000", "http://", "data"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(InvalidArgument, match="expected a url like"):
        HttpConnection(url, System())


def test_nobody_there() -> None:
    slept: list[float] = []
    with pytest.raises(Unavailable, match="no response from http://127"):
        HttpConnection(f"http://127.0.0.1:{free_port()}", System(sleep=slept.append)).call("GET", "/")
    assert slept == []


class Moody(BaseHTTPRequestHandler):
    """Answers as planned, and remembers what it was shown."""

    protocol_version = "HTTP/1.1"
    plan: ClassVar[list[int]] = []
    shown: ClassVar[list[tuple[str, str | None, str | None]]] = []
    waits: ClassVar[dict[int, int]] = {}

    def do_GET(self) -> None:
        self.shown.append((self.path, self.headers["X-Chroma-Token"], self.headers["Authorization"]))
        status = self.plan.pop(0)
        if not status:
            self.close_connection = True
            return
        body = b'{"message": "said"}'
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        if status in self.waits:
            self.send_header("retry-after", str(self.waits[status]))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def moody() -> Iterator[str]:
    Moody.plan.clear()
    Moody.shown.clear()
    Moody.waits.clear()
    server = HTTPServer(("127.0.0.1", 0), Moody)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_what_may_pass_is_asked_again(moody: str) -> None:
    slept: list[float] = []
    connection = HttpConnection(f"http://{moody}", System(sleep=slept.append))
    Moody.plan += [503, 429, 0, 502, 200]
    Moody.waits[429] = 7
    assert connection.call("GET", "/") == {"message": "said"}
    assert slept == [0.25, 7.0, 1.0, 2.0]
    Moody.plan += [503] * 8
    with pytest.raises(Unavailable, match="answered 503: said") as passing:
        connection.call("GET", "/")
    assert passing.value.is_passing
    Moody.plan += [503]
    Moody.waits[503] = 60
    slept.clear()
    with pytest.raises(Unavailable, match="answered 503: said") as lasting:
        connection.call("GET", "/")
    assert not lasting.value.is_passing
    assert slept == []
    Moody.plan += [401]
    with pytest.raises(Unauthenticated, match="answered 401: said"):
        connection.call("GET", "/")
    connection.close()


@pytest.mark.parametrize(
    ("before", "key", "shown"),
    [
        ("", "", (None, None)),
        ("", "key", ("key", None)),
        ("token%40@", "key", ("token@", None)),
        ("user:pass@", "key", (None, "Basic dXNlcjpwYXNz")),
    ],
)
def test_what_is_shown_to_a_server(moody: str, before: str, key: str, shown: tuple[str | None, str | None]) -> None:
    connection = HttpConnection(f"http://{before}{moody}/prefix/", System(), key)
    Moody.plan += [200]
    connection.call("GET", "/api")
    assert Moody.shown == [("/prefix/api", *shown)]
    assert "@" not in connection.url
    connection.close()
