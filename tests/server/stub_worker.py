"""A worker that serves a small app: who answered, an echo, a slow answer, a crash."""

import asyncio
import os
import signal
import socket
import sys

from starlette.types import Receive, Scope, Send

from afterglow.server.server import serve_app
from afterglow.settings import System, from_environment


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})
        return
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    answer = str(os.getpid()).encode()
    match scope["path"]:
        case "/slow":
            await asyncio.sleep(1.0)
        case "/hang":
            await asyncio.sleep(60.0)
        case "/crash":
            os.kill(os.getpid(), signal.SIGKILL)
        case "/echo":
            answer = body
        case "/size":
            answer = str(len(body)).encode()
        case "/large":
            answer = bytes(30_000_000)
        case "/streamed":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"30000000")]})
            for i in range(300):
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": i < 299})
            return
        case "/headers":
            answer = b"\n".join(name + b": " + value for name, value in scope["headers"])
        case _:
            pass
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(answer)).encode())]}
    )
    await send({"type": "http.response.body", "body": answer})


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if "FAIL_AT_START" in os.environ:
        sys.exit(3)
    serve_app(app, from_environment(), System(), control=socket.socket(fileno=int(sys.argv[-1])))


if __name__ == "__main__":
    main()
