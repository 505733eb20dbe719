"""The synchronous embedded clients."""

from pathlib import Path
from types import TracebackType
from typing import Self

from chromadb.api.client import AdminClient as StockAdmin
from chromadb.api.client import Client as StockClient
from chromadb.config import DEFAULT_DATABASE, DEFAULT_TENANT, Settings

from afterglow.embedded.chroma_api import Server
from afterglow.embedded.registry import acquire, release
from afterglow.embedded.transport import Transport


class _Closeable:
    """The end of a client: idempotent, and at the end of a `with`."""

    _closed: bool = False

    def _open(self, path: Path | None, settings: Settings) -> Server:
        self._place = acquire(path, allow_reset=settings.allow_reset)
        try:
            self._connection = Server(settings, Transport(self._place.running))
        except BaseException:
            release(self._place)
            raise
        return self._connection

    def close(self) -> None:
        """Let go of the data; later calls raise RuntimeError. The last client of a place closes it."""
        if not self._closed:
            self._closed = True
            self._connection.close()
            release(self._place)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AdminClient(_Closeable, StockAdmin):
    """Tenants and databases of what the settings name: a directory (`is_persistent`), or the ephemeral data."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self._server = self._open(directory(settings), settings)


class _Embedded(_Closeable, StockClient):
    """A stock client over an open place."""

    def __init__(self, path: Path | None, settings: Settings, tenant: str, database: str) -> None:
        self._server = self._open(path, settings)
        self._admin_client = _Shared(self._server)
        try:
            self.set_tenant(str(tenant), str(database))
        except BaseException:
            self.close()
            raise


class _Shared(StockAdmin):
    """What a client asks about its own tenant and database."""

    def __init__(self, server: Server) -> None:
        self._server = server


class EphemeralClient(_Embedded):
    """A client whose data is gone when it is closed, or the process ends.

    As in chromadb, all that are open in a process at one time share their data.
    """

    def __init__(
        self, settings: Settings | None = None, tenant: str = DEFAULT_TENANT, database: str = DEFAULT_DATABASE
    ) -> None:
        settings = (settings or Settings()).model_copy(update={"is_persistent": False})
        super().__init__(None, settings, tenant, database)


class PersistentClient(_Embedded):
    """A client whose data is in a directory, which other processes may have open at the same time."""

    def __init__(
        self,
        path: str | Path = "./chroma",
        settings: Settings | None = None,
        tenant: str = DEFAULT_TENANT,
        database: str = DEFAULT_DATABASE,
    ) -> None:
        settings = at(path, settings or Settings())
        super().__init__(Path(path), settings, tenant, database)


def at(path: str | Path, settings: Settings) -> Settings:
    """The settings for a directory."""
    return settings.model_copy(update={"is_persistent": True, "persist_directory": str(path)})


def directory(settings: Settings) -> Path | None:
    """The directory that settings name; None: nothing is to be kept."""
    return Path(settings.persist_directory) if settings.is_persistent else None
