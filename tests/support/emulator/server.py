"""The emulator's HTTP server.

Besides S3's there are two paths: `POST /_weather` sets the latency, and the faults of the next reads; `GET /_requests`
returns the requests since the last time, with start and end in seconds, and forgets them.
"""

import asyncio
import json
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support.emulator.bucket import Answer, Buckets, error
from tests.support.emulator.by_moto import by_moto
from tests.support.emulator.weather import Weather

_CODES = {403: "AccessDenied", 500: "InternalError", 503: "SlowDown"}
_PIECE = 64 * 1024
_SHORTEST_WAIT = 0.0005


@dataclass
class Fault:
    """What befalls the next `count` GETs of objects: the status is refused, or the body damaged, cut, or late."""

    kind: str
    count: int = 1
    seconds: float = 0.0
    status: int = 503


class Emulator:
    """One account."""

    def __init__(self, folder: Path) -> None:
        self._buckets = Buckets(folder)
        self._weather = Weather()
        self._source = random.Random()
        self._faults: list[Fault] = []
        self._requests: list[dict[str, Any]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while True:
                await self._one(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in head[1:] if line)}
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await _read_body(reader, headers)
        if target.startswith("/_"):
            await self._control(writer, target, body)
            return
        request: dict[str, Any] = {"start": time.monotonic(), "end": None, "bytes": 0, "status": None}
        self._requests.append(request)
        try:
            carry_out = self._s3 if _scope(headers)[0] == "s3" else self._other
            await carry_out(request, writer, method, target, headers, body)
        finally:
            request["end"] = time.monotonic()

    async def _control(self, writer: asyncio.StreamWriter, target: str, body: bytes) -> None:
        answer = b""
        if target == "/_requests":
            answer = json.dumps(self._requests).encode()
            self._requests.clear()
        else:
            values = json.loads(body)
            self._faults = [Fault(**fault) for fault in values.pop("faults", [])]
            self._weather = Weather(**values)
        await _send(writer, Answer(200, body=answer))

    async def _s3(
        self,
        request: dict[str, Any],
        writer: asyncio.StreamWriter,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
    ) -> None:
        address = urlsplit(target)
        bucket, _, key = unquote(address.path.lstrip("/")).partition("/")
        request |= {"service": "s3", "operation": method, "key": key, "range": headers.get("range", "")}
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        if "aws-chunked" in headers.get("content-encoding", "") or "x-amz-decoded-content-length" in headers:
            body = b"".join(_chunks(body))
        answer = self._buckets.answer(method, bucket, key, query, headers, body)
        fault = self._next_fault() if method == "GET" and key else None
        if method == "GET" and self._weather.refuses_get():
            answer = error(503, "SlowDown", key)
        elif fault is not None and fault.kind == "status":
            answer = error(fault.status, _CODES[fault.status], key)
        late = fault.seconds if fault is not None else 0.0
        await asyncio.sleep(self._weather.first_byte_seconds(self._source) + late)
        request["status"] = answer.status
        request["bytes"] = await self._send_paced(writer, answer, fault, with_body=method != "HEAD")

    def _next_fault(self) -> Fault | None:
        if not self._faults:
            return None
        fault = self._faults[0]
        fault.count -= 1
        if fault.count <= 0:
            self._faults.pop(0)
        return fault

    async def _send_paced(
        self, writer: asyncio.StreamWriter, answer: Answer, fault: Fault | None, *, with_body: bool
    ) -> int:
        if answer.source is None:
            await _send(writer, answer, with_body=with_body)
            return len(answer.body)
        writer.write(_head(answer, answer.length))
        if not with_body:
            await writer.drain()
            return 0
        sent = 0
        for piece in _pieces(answer):
            data = piece
            if fault is not None and fault.kind == "damage" and not sent:
                data = bytes([piece[0] ^ 0xFF]) + piece[1:]
            if fault is not None and fault.kind == "short":
                writer.write(data[: len(data) // 2])
                await writer.drain()
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
            sent += len(data)
            wait = self._weather.transfer_seconds(len(data))
            if wait > _SHORTEST_WAIT:
                await asyncio.sleep(wait)
        return sent

    async def _other(
        self,
        request: dict[str, Any],
        writer: asyncio.StreamWriter,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
    ) -> None:
        request |= {"service": "table", "operation": headers.get("x-amz-target", "").rpartition(".")[2]}
        await asyncio.sleep(self._weather.table_ms / 1e3)
        service, region = _scope(headers)
        answer = by_moto(service, region, method, target, headers, body)
        await _send(writer, answer)
        request |= {"status": answer.status, "bytes": len(answer.body)}


def _scope(headers: dict[str, str]) -> tuple[str, str]:
    """The service and the region that a request is signed for."""
    found = re.search(r"Credential=[^/]*/\d+/([a-z0-9-]+)/([a-z0-9]+)/aws4_request", headers.get("authorization", ""))
    return (found[2], found[1]) if found else ("s3", "")


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(parts)


def _chunks(body: bytes) -> Iterator[bytes]:
    """The content of a body in the encoding `aws-chunked`."""
    position = 0
    while True:
        end = body.index(b"\r\n", position)
        size = int(body[position:end].split(b";")[0], 16)
        if not size:
            return
        yield body[end + 2 : end + 2 + size]
        position = end + 2 + size + 2


def _pieces(answer: Answer) -> Iterator[bytes]:
    assert answer.source is not None
    with answer.source.open("rb") as file:
        file.seek(answer.start)
        left = answer.length
        while left and (piece := file.read(min(_PIECE, left))):
            left -= len(piece)
            yield piece


def _head(answer: Answer, length: int) -> bytes:
    headers = dict(answer.headers)
    if answer.status != 204:
        headers["Content-Length"] = str(length)
    lines = [f"HTTP/1.1 {answer.status} -", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


async def _send(writer: asyncio.StreamWriter, answer: Answer, *, with_body: bool = True) -> None:
    writer.write(_head(answer, len(answer.body)) + (answer.body if with_body else b""))
    await writer.drain()
