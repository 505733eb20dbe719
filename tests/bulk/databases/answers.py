"""An HTTP server of a test: its handler says what it answers, in JSON."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HOST = "127.0.0.1"


class Answers(http.server.BaseHTTPRequestHandler):
    """Sends status and content of `answer`, whatever the method."""

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """Status and content for a request with this body."""
        raise NotImplementedError

    def do_POST(self) -> None:
        status, content = self.answer(self.rfile.read(int(self.headers["Content-Length"] or 0)))
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(handler: type[Answers]) -> Iterator[str]:
    """Serve on a free port; host and port."""
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{HOST}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
