"""The asynchronous embedded clients: awaited, or entered with `async with`, both of which open them."""

import asyncio
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chromadb.api.async_client import AsyncAdminClient as StockAdmin
from chromadb.api.async_client import AsyncClient as StockClient
from chromadb.config import DEFAULT_DATABASE, DEFAULT_TENANT, Settings

from afterglow.embedded.chroma_api import AsyncServer
from afterglow.embedded.registry import SharedEngine, acquire, release
from afterglow.embedded.sync_client import at
from afterglow.embedded.transport import Transport


class _Embedded(StockClient):
    """A stock client over an open place. It is opened once, however often it is awaited."""

    _open: tuple[SharedEngine, AsyncServer] | None = None
    _closed: bool = False

    def __init__(self, path: Path | None, settings: Settings, tenant: str, database: str) -> None:
        self._path = path
        self._settings = settings
        self.tenant = str(tenant)
        self.database = str(database)

    def __await__(self) -> Generator[Any, None, Self]:
        return self._opened().__await__()

    async def __aenter__(self) -> Self:
        return await self._opened()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the data; later calls raise RuntimeError. The last client of a place closes it."""
        if self._open is not None and not self._closed:
            self._closed = True
            place, server = self._open
            await server.close()
            await asyncio.to_thread(release, place)

    async def _opened(self) -> Self:
        if self._open is not None:
            return self
        place = await asyncio.to_thread(acquire, self._path, allow_reset=self._settings.allow_reset)
        try:
            server = AsyncServer(self._settings, Transport(place.running))
            self._server = server
            self._admin_client = _AdminApi(server)
            await self.set_tenant(self.tenant, self.database)
        except BaseException:
            await asyncio.to_thread(release, place)
            raise
        self._open = (place, server)
        return self


class _AdminApi(StockAdmin):
    """What a client asks about its own tenant and database."""

    def __init__(self, server: AsyncServer) -> None:
        self._server = server


class AsyncEphemeralClient(_Embedded):
    """A client whose data is gone when it is closed, or the process ends; see `EphemeralClient`, which shares it."""

    def __init__(
        self, settings: Settings | None = None, tenant: str = DEFAULT_TENANT, database: str = DEFAULT_DATABASE
    ) -> None:
        settings = (settings or Settings()).model_copy(update={"is_persistent": False})
        super().__init__(None, settings, tenant, database)


class AsyncPersistentClient(_Embedded):
    """A client whose data is in a directory, which other processes may have open at the same time."""

    def __init__(
        self,
        path: str | Path = "./chroma",
        settings: Settings | None = None,
        tenant: str = DEFAULT_TENANT,
        database: str = DEFAULT_DATABASE,
    ) -> None:
        super().__init__(Path(path), at(path, settings or Settings()), tenant, database)
