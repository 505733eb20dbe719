"""The stock client's connection to a server, with an open place at the other end instead of a network.

The classes are chromadb's own for HTTP; what they would open to connect is replaced.
"""

from typing import Any

import httpx
from chromadb.api.async_fastapi import AsyncFastAPI
from chromadb.api.fastapi import FastAPI
from chromadb.config import Settings, System
from overrides import override

from afterglow.embedded.transport import HOST, Transport


class Server(FastAPI):
    """The synchronous form."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        super().__init__(System(settings.model_copy(update=_CONNECTION)))
        self._session.close()
        self._session = httpx.Client(transport=transport, **_session(settings))

    def close(self) -> None:
        """Later calls raise RuntimeError."""
        self._session.close()


class AsyncServer(AsyncFastAPI):
    """The asynchronous form. One session does for every event loop, as it has no connections."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        super().__init__(System(settings.model_copy(update=_CONNECTION)))
        self._session = httpx.AsyncClient(transport=transport, **_session(settings))

    @override
    def _get_client(self) -> httpx.AsyncClient:
        return self._session

    async def close(self) -> None:
        """Later calls raise RuntimeError."""
        await self._session.aclose()


_CONNECTION = {
    "chroma_api_impl": "chromadb.api.fastapi.FastAPI",
    "chroma_server_host": HOST,
    "chroma_server_http_port": 80,
    "chroma_server_ssl_enabled": False,
    "chroma_server_headers": None,
    "chroma_server_api_default_path": "/api/v2",
    "chroma_client_auth_provider": None,
}
"""What a caller's settings say of another server has no meaning here."""


def _session(settings: Settings) -> dict[str, Any]:
    headers = {**(settings.chroma_server_headers or {}), "Content-Type": "application/json"}
    # Neither a proxy nor a .netrc of the environment has a say in what never leaves the process.
    return {"headers": headers, "timeout": None, "trust_env": False}
