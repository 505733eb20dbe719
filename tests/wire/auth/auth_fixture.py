"""An application with a gate over stores of its own, asked without a socket."""

import asyncio
import itertools
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
from starlette.types import ASGIApp, Message

from afterglow.api.app import create_app
from afterglow.auth import Role
from afterglow.collection import Engine
from afterglow.settings import Settings, System
from tests.support.stores import quick_folder, stores_at

MOMENT = 1_795_262_400.0
V1 = "/api/v1"
V2 = "/api/v2"


@dataclass(frozen=True, slots=True)
class AppResponse:
    """An answer; the headers that tell answers of the same kind apart are left out."""

    status: int
    body: bytes
    headers: dict[str, str] = field(compare=False)

    def json(self) -> Any:
        return orjson.loads(self.body)


class AppClient:
    """Sends requests to an application, on a loop of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        """End the loop."""
        self._loop.close()

    def ask(
        self, method: str, path: str, body: Any = None, key: str | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> AppResponse:
        """Send a request: with a key as a token, or with headers of its own."""
        arguments = list(headers) if key is None else [("x-chroma-token", key), *headers]
        content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        return self._loop.run_until_complete(self._ask(method, path, content, arguments))

    async def _ask(self, method: str, path: str, content: bytes, headers: list[tuple[str, str]]) -> AppResponse:
        raw, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": raw,
            "raw_path": raw.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "scheme": "http",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
            "client": ("192.0.2.1", 50_000),
            "server": ("testserver", 80),
        }
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start, end = sent
        return AppResponse(
            start["status"], end["body"], {name.decode(): value.decode() for name, value in start["headers"]}
        )


class AuthFixture(AppClient):
    """One deployment. Its clock stands until `later`."""

    def __init__(self, folder: Path, settings: Settings, *, seed: int = 0) -> None:
        self._at = MOMENT
        system = System(now=lambda: self._at, monotonic=lambda: self._at, sleep=self.later, random=random.Random(seed))
        self.engine = Engine(replace(stores_at(folder, settings), system=system, settings=settings))
        self.engine.catalog.ensure_defaults()
        super().__init__(create_app(self.engine, settings, system, allow_reset=True, threads=0, metrics=lambda: b""))

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self._at += seconds

    def key(self, role: Role, tenant: str | None, databases: Iterable[str] | None = None) -> str:
        """A new key."""
        return self.engine.keys.create(role, tenant, databases)[0]

    def close(self) -> None:
        """End it."""
        self.engine.close()
        super().close()


_seeds = itertools.count(1)


@contextmanager
def auth_fixture(settings: Settings | None = None) -> Iterator[AuthFixture]:
    """A new one, which asks for keys if nothing else is said."""
    with quick_folder() as folder:
        created = AuthFixture(folder, settings or Settings(auth="keys", auth_attempts_per_minute=0), seed=next(_seeds))
        try:
            yield created
        finally:
            created.close()
