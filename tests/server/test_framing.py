"""Where one request ends and the next begins: as many responses as requests, and no body is parsed as a request."""

import random
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.server.stubs import Stub, stub

SEED = 20_261_127
END = b"GET /end HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
"""The last request of a connection; the stub responds with its process number."""
SMUGGLED = b"GET /echo HTTP/1.1\r\nhost: x\r\nx-smuggled: 1\r\n\r\n"
"""A body that is a valid request, too."""
OFFERS = {
    "h2c": b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAAA\r\n",
    "websocket": b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: AAAA\r\n",
    "unknown": b"upgrade: teleport/1, rocket\r\nconnection: keep-alive, upgrade\r\n",
    "two": b"upgrade: h2c\r\nupgrade: websocket\r\nconnection: upgrade\r\n",
    "none": b"",
    "without connection": b"upgrade: h2c\r\n",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with stub(client_timeout_seconds="5") as running:
        yield running


def chunked(body: bytes, size: int, trailers: bytes = b"") -> bytes:
    """The body in chunks of `size` bytes."""
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailers + b"\r\n"


def post(
    body: bytes, headers: bytes = b"", chunk_bytes: int = 0, trailers: bytes = b"", target: bytes = b"/echo"
) -> bytes:
    """A POST with a content length, or in chunks of `chunk_bytes`."""
    head = b"POST %s HTTP/1.1\r\nhost: x\r\n%s" % (target, headers)
    if chunk_bytes:
        return head + b"transfer-encoding: chunked\r\n\r\n" + chunked(body, chunk_bytes, trailers)
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


def responses(server: Stub, *segments: bytes) -> list[tuple[int, bytes]]:
    """Send the segments one by one; status and body of every response until the server closes the connection.

    Interim responses (100) are left out.
    """
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for segment in segments:
            connection.sendall(segment)
        received = b""
        while data := connection.recv(65536):
            received += data
    found = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        if status == 100:
            continue
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        found.append((status, received[: int(length[1])]))
        received = received[int(length[1]) :]
    return found


def expect_echoes(server: Stub, bodies: list[bytes], *segments: bytes) -> None:
    """The segments hold an echo request for each body, and `END`."""
    results = responses(server, *segments)
    assert [status for status, _ in results] == [200] * (len(bodies) + 1)
    assert [body for _, body in results[:-1]] == bodies
    assert results[-1][1].isdigit()


@pytest.mark.parametrize("chunk_bytes", [0, 7, 1000], ids=["length", "small chunks", "one chunk"])
@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_an_offered_upgrade_is_ignored(server: Stub, offer: bytes, chunk_bytes: int) -> None:
    request = post(SMUGGLED, offer, chunk_bytes)
    expect_echoes(server, [SMUGGLED], request + END)
    expect_echoes(server, [SMUGGLED], *[bytes([byte]) for byte in request], END)
    expect_echoes(server, [SMUGGLED, b"next", SMUGGLED], request + post(b"next"), request + END)


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_an_offered_upgrade_without_a_body_is_ignored(server: Stub, offer: bytes) -> None:
    get = b"GET /echo HTTP/1.1\r\nhost: x\r\n" + offer + b"\r\n"
    expect_echoes(server, [b"", b""], get + get + END)


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_an_offered_upgrade_that_waits_for_continue(server: Stub, offer: bytes) -> None:
    head, _, body = post(SMUGGLED, offer + b"expect: 100-continue\r\n").partition(b"\r\n\r\n")
    with server.connect() as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body + END)
        received = b""
        while data := connection.recv(65536):
            received += data
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert SMUGGLED in received


def test_a_connection_that_ends_with_an_offered_upgrade(server: Stub) -> None:
    request = post(b"last", b"connection: close, upgrade\r\nupgrade: h2c\r\n")
    assert responses(server, request + SMUGGLED) == [(200, b"last")]


@pytest.mark.parametrize(
    "framing",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        b"content-length: 5\r\ncontent-length: 5\r\n",
        b"content-length: 5\r\ncontent-length: 6\r\n",
        b"content-length: 5, 5\r\n",
        b"content-length: +5\r\n",
        b"content-length: 0x5\r\n",
        b"content-length: -1\r\n",
        b"content-length: 99999999999999999999999\r\n",
        b"content-length : 5\r\n",
        b"transfer-encoding : chunked\r\n",
        b"transfer-encoding: xchunked\r\n",
        b"transfer-encoding: chunked, identity\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        b"transfer-encoding:\x0bchunked\r\n",
        b"x: folded\r\n content-length: 5\r\ncontent-length: 5\r\n",
        b"x: folded\r\n\ttransfer-encoding: chunked\r\n",
        b"content-length:\r\n 5\r\n",
        b"content-length: 5\ncontent-length: 5\r\n",
    ],
)
@pytest.mark.parametrize("offer", [b"", OFFERS["h2c"]], ids=["plain", "h2c"])
def test_ambiguous_framing_is_refused(server: Stub, framing: bytes, offer: bytes) -> None:
    for head in (framing + offer, offer + framing):
        request = b"POST /echo HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n0\r\n\r\n"
        statuses = [status for status, _ in responses(server, request + SMUGGLED)]
        assert statuses == [400], head


@pytest.mark.parametrize(
    "chunk", [b"zz\r\n", b"-1\r\n", b"+3\r\nabc\r\n", b"3\r\nabcd\r\n", b"3\nabc\r\n", b"0x3\r\nabc\r\n"]
)
@pytest.mark.parametrize("offer", [b"", OFFERS["h2c"]], ids=["plain", "h2c"])
def test_invalid_chunks_are_refused(server: Stub, chunk: bytes, offer: bytes) -> None:
    head = b"POST /echo HTTP/1.1\r\nhost: x\r\n" + offer + b"transfer-encoding: chunked\r\n\r\n"
    assert [status for status, _ in responses(server, head + chunk + SMUGGLED)] == [400]


@pytest.mark.parametrize("target", [b"x:80", b"/echo"])
def test_connect_is_refused(server: Stub, target: bytes) -> None:
    assert [status for status, _ in responses(server, b"CONNECT " + target + b" HTTP/1.1\r\n\r\n" + SMUGGLED)] == [400]


def test_trailers_are_ignored(server: Stub) -> None:
    trailers = b"x-token: secret\r\nconnection: upgrade\r\nupgrade: h2c\r\nexpect: 100-continue\r\n"
    expect_echoes(server, [SMUGGLED, b"next"], post(SMUGGLED, b"", 10, trailers), post(b"next"), END)
    [(_, headers), _] = responses(server, post(b"a", b"x-head: 1\r\n", 1, trailers, b"/headers"), END)
    assert b"x-head" in headers
    assert b"x-token" not in headers
    assert b"upgrade" not in headers


@pytest.mark.parametrize("target", [b"http://x/echo", b"HTTP://x:8000/echo?a=b", b"/echo?x=http://y", b"/%65cho"])
def test_targets_of_one_resource(server: Stub, target: bytes) -> None:
    expect_echoes(server, [SMUGGLED], post(SMUGGLED, OFFERS["h2c"], target=target) + END)


@pytest.mark.parametrize("target", [b"http://x", b"http://x?a=b", b"*"])
def test_targets_without_a_path(server: Stub, target: bytes) -> None:
    assert [status for status, _ in responses(server, b"OPTIONS " + target + b" HTTP/1.1\r\n\r\n" + END)] == [200, 200]


@pytest.mark.parametrize(
    "invalid", [b"\x00garbage\r\n\r\n", b"POST /echo HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz"]
)
def test_every_request_before_invalid_data_gets_its_response(server: Stub, invalid: bytes) -> None:
    slow = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n"
    results = responses(server, slow + post(b"one") + post(b"two") + invalid)
    assert [status for status, _ in results] == [200, 200, 200]
    assert [body for _, body in results[1:]] == [b"one", b"two"]


def _random_request(rng: random.Random, body: bytes) -> bytes:
    names = [b"host: x", *rng.choice(list(OFFERS.values())).splitlines()]
    if rng.random() < 0.2:
        names.append(b"expect: 100-continue")
    if rng.random() < 0.3:
        names.append(b"x-filler: " + b"f" * rng.randrange(200))
    chunk_bytes = rng.choice([0, 1, 16, 1000])
    names.append(b"transfer-encoding: chunked" if chunk_bytes else b"content-length: %d" % len(body))
    rng.shuffle(names)
    lines = [name.title() if rng.random() < 0.3 and not name.startswith(b"http2") else name for name in names]
    target = rng.choice([b"/echo", b"http://host/echo", b"/echo?q=1"])
    trailers = rng.choice([b"", b"", b"upgrade: h2c\r\nx: y\r\n"])
    framed = chunked(body, chunk_bytes, trailers) if chunk_bytes else body
    return (
        rng.choice([b"", b"", b"\r\n"])
        + b"POST "
        + target
        + b" HTTP/1.1\r\n"
        + b"\r\n".join(lines)
        + b"\r\n\r\n"
        + framed
    )


def test_random_requests_in_random_segments(server: Stub) -> None:
    rng = random.Random(SEED)
    for _ in range(150):
        bodies = [
            rng.choice([b"", b"x", SMUGGLED, SMUGGLED * 20, END, b"0\r\n\r\n"]) for _ in range(rng.randrange(1, 6))
        ]
        data = b"".join(_random_request(rng, body) for body in bodies) + END
        cuts = sorted(rng.randrange(len(data)) for _ in range(rng.randrange(8)))
        segments = [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        expect_echoes(server, bodies, *segments)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_offers_http2(server: Stub) -> None:
    url = f"http://127.0.0.1:{server.port}/echo"
    done = subprocess.run(
        ["curl", "-sS", "--http2", "--data-binary", "body", url, url], capture_output=True, timeout=30, check=True
    )
    assert done.stdout == b"bodybody"
