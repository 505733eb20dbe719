"""chromadb's HTTP connection to a server, with an in-process transport instead of the network.

The classes are chromadb's own; only the httpx client that they would open is replaced.
"""

from typing import Any

import httpx
from chromadb.api.async_fastapi import AsyncFastAPI
from chromadb.api.fastapi import FastAPI
from chromadb.config import Settings, System
from overrides import override

from afterglow.embedded.transport import HOST, Transport


class Server(FastAPI):
    """The connection of the synchronous client."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        super().__init__(System(settings.model_copy(update=_CONNECTION)))
        self._session.close()
        self._session = httpx.Client(transport=transport, **_session(settings))

    def close(self) -> None:
        """Closes the session; later requests raise RuntimeError."""
        self._session.close()


class AsyncServer(AsyncFastAPI):
    """The connection of the asynchronous client. It opens no sockets, so one session serves every event loop."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        super().__init__(System(settings.model_copy(update=_CONNECTION)))
        self._session = httpx.AsyncClient(transport=transport, **_session(settings))

    @override
    def _get_client(self) -> httpx.AsyncClient:
        return self._session

    async def close(self) -> None:
        """Closes the session; later requests raise RuntimeError."""
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
"""Replaces the settings of a caller that name a server: here the server is the app in this process."""


def _session(settings: Settings) -> dict[str, Any]:
    headers = {**(settings.chroma_server_headers or {}), "Content-Type": "application/json"}
    # Requests never leave the process: ignore the proxies and the .netrc of the environment.
    return {"headers": headers, "timeout": None, "trust_env": False}
