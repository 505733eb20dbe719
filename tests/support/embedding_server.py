"""An embedding service of the tests' own: speaks every protocol that we call, with faults in the order of a script."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIMENSION = 8

Fault = Callable[[BaseHTTPRequestHandler, bytes], None]
"""Answers a request in place of the service; gets the handler and the valid answer."""


def status(code: int, text: str = "{}", **headers: str) -> Fault:
    """Another status."""

    def respond(handler: BaseHTTPRequestHandler, _answer: bytes) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        send(handler, text.encode())

    return respond


def half(handler: BaseHTTPRequestHandler, answer: bytes) -> None:
    """The connection breaks in the middle of the answer."""
    handler.send_response(200)
    handler.send_header("content-length", str(len(answer)))
    handler.end_headers()
    handler.wfile.write(answer[: len(answer) // 2])
    handler.close_connection = True


def slow(seconds: float) -> Fault:
    """The answer, late."""

    def respond(handler: BaseHTTPRequestHandler, answer: bytes) -> None:
        time.sleep(seconds)
        try:
            handler.send_response(200)
            send(handler, answer)
        except OSError:
            handler.close_connection = True  # the caller is gone

    return respond


def text(content: str) -> Fault:
    """Another body."""

    def respond(handler: BaseHTTPRequestHandler, _answer: bytes) -> None:
        handler.send_response(200)
        send(handler, content.encode())

    return respond


def send(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    handler.send_header("content-length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


@dataclass(slots=True)
class EmbeddingServer:
    """A running service: its address, the requests so far, and the faults to come."""

    url: str
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def vector(content: str) -> list[float]:
    """The service's vector of a text."""
    return [float(len(content)), *(float(ord(letter)) for letter in (content + " " * DIMENSION)[: DIMENSION - 1])]


@contextmanager
def embedding_server() -> Iterator[EmbeddingServer]:
    """The service, for the length of the block."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                running.requests.append(
                    (self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                )
                fault = running.faults.pop(0) if running.faults else None
            answer = json.dumps(_answer(self.path, body)).encode()
            if fault is not None:
                fault(self, answer)
                return
            self.send_response(200)
            send(self, answer)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = EmbeddingServer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(path: str, body: Any) -> Any:
    if path.endswith("/v1/embeddings"):
        data = [{"index": index, "embedding": vector(text)} for index, text in enumerate(body["input"])]
        return {"data": data[::-1], "usage": {"total_tokens": 3 * len(data)}}
    if path.endswith("/api/embed"):
        return {"embeddings": [vector(text) for text in body["input"]]}
    if path.endswith("/v1/embed"):
        return {"embeddings": [vector(text) for text in body["texts"]]}
    return [vector(text) for text in body["inputs"]]
