"""The asynchronous embedded clients; `await` and `async with` open them."""

import asyncio
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chromadb.api.async_client import AsyncAdminClient as ChromaAdminClient
from chromadb.api.async_client import AsyncClient as ChromaClient
from chromadb.api.models.AsyncCollection import AsyncCollection
from chromadb.config import DEFAULT_DATABASE, DEFAULT_TENANT, Settings

from afterglow.embedded.chroma_api import AsyncServer
from afterglow.embedded.collections import AsyncEngineCollection
from afterglow.embedded.registry import SharedEngine, acquire, release
from afterglow.embedded.sync_client import persistent_settings
from afterglow.embedded.transport import Transport


class _Embedded(ChromaClient):
    """Chroma's client over a shared engine. Awaiting it again has no effect."""

    _open: tuple[SharedEngine, AsyncServer] | None = None
    _closed: bool = False

    def __init__(self, path: Path | None, settings: Settings, tenant: str, database: str) -> None:
        self._path = path
        self._settings = settings
        self.tenant = str(tenant)
        self.database = str(database)

    def __await__(self) -> Generator[Any, None, Self]:
        return self._ensure_open().__await__()

    async def __aenter__(self) -> Self:
        return await self._ensure_open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the client: later requests raise RuntimeError. The last client of a path closes its engine."""
        if self._open is not None and not self._closed:
            self._closed = True
            engine, server = self._open
            await server.close()
            await asyncio.to_thread(release, engine)

    async def _ensure_open(self) -> Self:
        if self._open is not None:
            return self
        engine = await asyncio.to_thread(acquire, self._path, allow_reset=self._settings.allow_reset)
        try:
            server = AsyncServer(self._settings, Transport(engine.runner), engine)
            self._server = server
            self._admin_client = _AdminApi(server)
            await self.set_tenant(self.tenant, self.database)
        except BaseException:
            await asyncio.to_thread(release, engine)
            raise
        self._open = (engine, server)
        return self

    async def create_collection(self, *args: Any, **kwargs: Any) -> AsyncCollection:
        """As in chromadb."""
        return AsyncEngineCollection.of(await super().create_collection(*args, **kwargs))

    async def get_or_create_collection(self, *args: Any, **kwargs: Any) -> AsyncCollection:
        """As in chromadb."""
        return AsyncEngineCollection.of(await super().get_or_create_collection(*args, **kwargs))

    async def get_collection(self, *args: Any, **kwargs: Any) -> AsyncCollection:
        """As in chromadb."""
        return AsyncEngineCollection.of(await super().get_collection(*args, **kwargs))

    async def get_collection_by_id(self, *args: Any, **kwargs: Any) -> AsyncCollection:
        """As in chromadb."""
        return AsyncEngineCollection.of(await super().get_collection_by_id(*args, **kwargs))


class _AdminApi(ChromaAdminClient):
    """Reads a client's own tenant and database."""

    def __init__(self, server: AsyncServer) -> None:
        self._server = server


class AsyncEphemeralClient(_Embedded):
    """A client without a directory; it shares its data with every open `EphemeralClient`."""

    def __init__(
        self, settings: Settings | None = None, tenant: str = DEFAULT_TENANT, database: str = DEFAULT_DATABASE
    ) -> None:
        settings = (settings or Settings()).model_copy(update={"is_persistent": False})
        super().__init__(None, settings, tenant, database)


class AsyncPersistentClient(_Embedded):
    """A client of a data directory, which other processes may have open at the same time."""

    def __init__(
        self,
        path: str | Path = "./chroma",
        settings: Settings | None = None,
        tenant: str = DEFAULT_TENANT,
        database: str = DEFAULT_DATABASE,
    ) -> None:
        super().__init__(Path(path), persistent_settings(path, settings or Settings()), tenant, database)
