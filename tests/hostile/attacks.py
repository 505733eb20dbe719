"""What hostile clients do, each on a connection of its own for some seconds.

An attack never raises for what the server does to its connection; it returns the status of the first response, if it
got one. A 5xx other than 503 is a fault of the server.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

HOST = "127.0.0.1"
HOME = "/api/v2/tenants/default_tenant/databases/default_database/collections"


@dataclass(frozen=True, slots=True)
class Target:
    """The server, a collection with large documents, and a key that may write there; None for a stranger."""

    port: int
    collection: str
    key: str | None

    def head(self, method: str, path: str, *lines: str) -> bytes:
        """The head of a request."""
        credential = [] if self.key is None else [f"x-chroma-token: {self.key}"]
        return "\r\n".join([f"{method} {path} HTTP/1.1", "host: x", *credential, *lines, "", ""]).encode()

    def post(self, verb: str, *lines: str) -> bytes:
        """The head of a request with a JSON body about the collection."""
        return self.head("POST", f"{HOME}/{self.collection}/{verb}", "content-type: application/json", *lines)


class Connection:
    """One connection with small buffers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes, seconds: float = 20.0) -> None:
        """Send, as far as the server takes it in time."""
        self.writer.write(data)
        async with asyncio.timeout(seconds):
            await self.writer.drain()

    async def status(self, seconds: float = 20.0) -> int | None:
        """The status of the next response."""
        async with asyncio.timeout(seconds):
            line = await self.reader.readline()
        return int(line[9:12]) if line.startswith(b"HTTP/1.1 ") else None


Attack = Callable[[Target, Connection, random.Random], Awaitable[int | None]]


async def slow_head(target: Target, connection: Connection, rng: random.Random) -> int | None:
    """A head that arrives by a few bytes."""
    head = target.head("GET", "/api/v2/heartbeat", "x-filler: " + "a" * 200)
    for start in range(0, len(head), 10):
        await connection.send(head[start : start + 10])
        await asyncio.sleep(rng.uniform(0.1, 0.5))
    return await connection.status()


async def slow_body(target: Target, connection: Connection, rng: random.Random) -> int | None:
    """A body of unknown length at 2 kB/s."""
    await connection.send(target.post("add", "transfer-encoding: chunked"))
    for _ in range(rng.randrange(20, 60)):
        await connection.send(b"c8\r\n" + b" " * 200 + b"\r\n")
        await asyncio.sleep(0.1)
    return None


async def stalled_body(target: Target, connection: Connection, rng: random.Random) -> int | None:
    """The first megabytes of a large body at once, then nothing."""
    await connection.send(target.post("add", f"content-length: {30_000_000}"))
    await connection.send(b" " * rng.randrange(100_000, 5_000_000))
    return await connection.status(rng.uniform(2, 12))


async def unread_response(target: Target, connection: Connection, rng: random.Random) -> int | None:
    """A response of megabytes, of which nothing is read."""
    body = b'{"include":["documents"]}'
    await connection.send(target.post("get", f"content-length: {len(body)}") + body)
    await asyncio.sleep(rng.uniform(2, 12))
    return None


async def unread_pages(target: Target, connection: Connection, rng: random.Random) -> int | None:
    """Many public pages, of which nothing is read."""
    with suppress(TimeoutError):
        await connection.send(target.head("GET", "/openapi.json") * rng.randrange(10, 100), 5)
    await asyncio.sleep(rng.uniform(1, 8))
    return None


async def huge(target: Target, connection: Connection, rng: random.Random) -> int | None:
    """Something that is over a limit."""
    match rng.randrange(5):
        case 0:
            await connection.send(target.post("add", f"content-length: {10**18}"))
        case 1:
            await connection.send(target.post("add", "content-length: 45000000"))
            for _ in range(45):
                await connection.send(b"[" * 1_000_000)
        case 2:
            await connection.send(target.head("GET", "/" + "a" * 20_000))
        case 3:
            await connection.send(target.head("GET", "/api/v2/heartbeat", "x-large: " + "a" * 80_000))
        case _:
            await connection.send(target.post("add", "content-length: 2000000") + b"[" * 2_000_000)
    return await connection.status()


async def malformed(target: Target, connection: Connection, rng: random.Random) -> int | None:
    """Bytes that are not HTTP, or contradict themselves."""
    await connection.send(
        rng.choice(
            [
                rng.randbytes(500),
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(200),
                target.post("add", "transfer-encoding: chunked") + b"zz\r\n\r\n",
                target.post("add", "transfer-encoding: chunked", "content-length: 5") + b"0\r\n\r\n",
                target.post("add", "content-length: 5", "content-length: 6") + b"[1,2]",
                target.post("add", "content-length: -1"),
                target.post("add", "content-length: 9") + b'{"ids":["',
                target.post("query", "content-length: 20000") + b"[" * 20_000,
                target.head("GET", "/api/v2/\x00heartbeat"),
                b"GET  /  HTTP/9.9\r\n\r\n",
            ]
        )
    )
    return await connection.status(5)


async def upgrade(target: Target, connection: Connection, rng: random.Random) -> int | None:
    """An offer to speak another protocol, with a second request in its body."""
    inner = target.head("DELETE", f"{HOME}/smuggled")
    offer = rng.choice(["h2c", "websocket", "TLS/1.0"])
    if rng.random() < 0.2:
        await connection.send(b"CONNECT other:443 HTTP/1.1\r\nhost: other\r\n\r\n" + rng.randbytes(100))
    else:
        lines = ["connection: Upgrade, HTTP2-Settings", f"upgrade: {offer}", "http2-settings: AAMAAABkAAQAoAAA"]
        await connection.send(target.post("get", *lines, f"content-length: {len(inner)}") + inner)
    return await connection.status(5)


async def pipelined(target: Target, connection: Connection, rng: random.Random) -> int | None:
    """Hundreds of requests at once, whose responses are read slowly."""
    with suppress(TimeoutError):
        await connection.send(target.head("GET", "/api/v2/heartbeat") * rng.randrange(50, 300), 5)
    status = await connection.status()
    for _ in range(rng.randrange(5, 20)):
        await connection.reader.read(500)
        await asyncio.sleep(0.2)
    return status


async def silent(target: Target, connection: Connection, rng: random.Random) -> int | None:
    """Nothing at all."""
    await asyncio.sleep(rng.uniform(1, 20))
    return None


ATTACKS: tuple[Attack, ...] = (
    slow_head,
    slow_body,
    stalled_body,
    unread_response,
    unread_pages,
    huge,
    malformed,
    upgrade,
    pipelined,
    silent,
)
