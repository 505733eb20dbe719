"""A bare HTTP/1.1 client: one keep-alive socket, prebuilt requests, as little work per call as Python allows.

The stock client spends over a millisecond of its own on a call; this one some 30 µs. It understands what the servers
under test send (`Content-Length` or chunked bodies) and nothing else. Standard library only, so that a helper process
starts at once.
"""

import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self

HEAD_END = b"\r\n\r\n"


class ConnectionLost(Exception):
    """The server closed the connection, or could not be reached, before the whole answer was there."""


@dataclass(frozen=True, slots=True)
class Response:
    """Status, raw head (status line and headers, lower-cased names are the reader's business) and body."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header, or None."""
        lower_name = name.lower().encode()
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.strip().lower() == lower_name:
                return value.strip().decode("latin-1")
        return None


def request_bytes(method: str, path: str, body: bytes | None = None, host: str = "127.0.0.1") -> bytes:
    """A whole request, ready to be sent."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + (body or b"")


class BareClient:
    """One connection. Not thread-safe; reconnects by itself only before a request is sent on a fresh client."""

    def __init__(self, host: str, port: int, timeout: float = 60.0) -> None:
        self._address = (host, port)
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._rest = b""

    def connect(self) -> socket.socket:
        """The open socket. Raises ConnectionLost when nobody listens."""
        if self._socket is None:
            try:
                self._socket = socket.create_connection(self._address, self._timeout)
            except OSError as error:
                raise ConnectionLost(f"cannot connect to {self._address}: {error}") from error
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def call(self, request: bytes) -> Response:
        """Send a prebuilt request and read its answer. Raises ConnectionLost: the outcome is then unknown."""
        connection = self.connect()
        try:
            connection.sendall(request)
        except OSError as error:
            # A server that refuses a body early may have answered before it closed.
            answer = self._answer_left_behind(connection)
            if answer is None:
                self.close()
                raise ConnectionLost(f"while sending: {error}") from error
            return answer
        return self._read(connection)

    def request(self, method: str, path: str, body: bytes | None = None) -> Response:
        """Build, send and read one request."""
        return self.call(request_bytes(method, path, body))

    def _answer_left_behind(self, connection: socket.socket) -> Response | None:
        try:
            return self._read(connection)
        except ConnectionLost:
            return None

    def _more(self, connection: socket.socket) -> bytes:
        try:
            piece = connection.recv(1 << 18)
        except OSError as error:
            self.close()
            raise ConnectionLost(f"while reading: {error}") from error
        if not piece:
            self.close()
            raise ConnectionLost("the server closed the connection")
        return piece

    def _read(self, connection: socket.socket) -> Response:
        data = self._rest
        end = data.find(HEAD_END)
        while end < 0:
            data += self._more(connection)
            end = data.find(HEAD_END)
        head, data = data[:end], data[end + 4 :]
        status = int(head[9:12])
        lowered = head.lower()
        if b"\r\ntransfer-encoding: chunked" in lowered:
            body, data = self._chunks(connection, data)
        else:
            body, data = self._sized(connection, data, lowered, status)
        self._rest = data
        if b"\r\nconnection: close" in lowered:
            self.close()
        return Response(status, head, body)

    def _sized(self, connection: socket.socket, data: bytes, lowered: bytes, status: int) -> tuple[bytes, bytes]:
        at = lowered.find(b"\r\ncontent-length:")
        if at < 0:
            if status in (204, 304) or status < 200:
                return b"", data
            return self._until_closed(data), b""
        length = int(lowered[at + 17 :].split(b"\r\n", 1)[0])
        if len(data) < length:
            pieces = [data]
            missing = length - len(data)
            while missing > 0:
                piece = self._more(connection)
                pieces.append(piece)
                missing -= len(piece)
            data = b"".join(pieces)
        return data[:length], data[length:]

    def _until_closed(self, data: bytes) -> bytes:
        pieces = [data]
        while self._socket is not None:
            try:
                pieces.append(self._more(self._socket))
            except ConnectionLost:
                break
        return b"".join(pieces)

    def _chunks(self, connection: socket.socket, data: bytes) -> tuple[bytes, bytes]:
        body: list[bytes] = []
        while True:
            while (end := data.find(b"\r\n")) < 0:
                data += self._more(connection)
            size = int(data[:end].split(b";")[0], 16)
            data = data[end + 2 :]
            while len(data) < size + 2:
                data += self._more(connection)
            body.append(data[:size])
            data = data[size + 2 :]
            if size == 0:
                return b"".join(body), data
