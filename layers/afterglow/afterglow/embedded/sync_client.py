"""The synchronous embedded clients."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chromadb.api import ClientAPI
from chromadb.api.client import AdminClient as ChromaAdminClient
from chromadb.api.client import Client as ChromaClient
from chromadb.api.models.Collection import Collection
from chromadb.config import DEFAULT_DATABASE, DEFAULT_TENANT, Settings

from afterglow.embedded.chroma_api import Server
from afterglow.embedded.collections import EngineCollection
from afterglow.embedded.registry import acquire, release
from afterglow.embedded.transport import Transport

_HTTP = "chromadb.api.fastapi.FastAPI"


class _Closeable:
    """A client that can be closed, by `close` or at the end of a `with` block."""

    _closed: bool = False

    def _open(self, path: Path | None, settings: Settings) -> Server:
        self._engine = acquire(path, allow_reset=settings.allow_reset)
        try:
            self._connection = Server(settings, Transport(self._engine.runner), self._engine)
        except BaseException:
            release(self._engine)
            raise
        return self._connection

    def close(self) -> None:
        """Closes the client: later requests raise RuntimeError. The last client of a path closes its engine."""
        if not self._closed:
            self._closed = True
            self._connection.close()
            release(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AdminClient(_Closeable, ChromaAdminClient):
    """Administers tenants and databases, of a directory (settings with `is_persistent`) or of the ephemeral data."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self._server = self._open(persistent_path(settings), settings)


class _Embedded(_Closeable, ChromaClient):
    """Chroma's client over a shared engine."""

    def __init__(self, path: Path | None, settings: Settings, tenant: str, database: str) -> None:
        self._server = self._open(path, settings)
        self._admin_client = _AdminApi(self._server)
        try:
            self.set_tenant(str(tenant), str(database))
        except BaseException:
            self.close()
            raise

    def create_collection(self, *args: Any, **kwargs: Any) -> Collection:
        """As in chromadb."""
        return EngineCollection.of(super().create_collection(*args, **kwargs))

    def get_or_create_collection(self, *args: Any, **kwargs: Any) -> Collection:
        """As in chromadb."""
        return EngineCollection.of(super().get_or_create_collection(*args, **kwargs))

    def get_collection(self, *args: Any, **kwargs: Any) -> Collection:
        """As in chromadb."""
        return EngineCollection.of(super().get_collection(*args, **kwargs))

    def get_collection_by_id(self, *args: Any, **kwargs: Any) -> Collection:
        """As in chromadb."""
        return EngineCollection.of(super().get_collection_by_id(*args, **kwargs))


class _AdminApi(ChromaAdminClient):
    """Reads a client's own tenant and database."""

    def __init__(self, server: Server) -> None:
        self._server = server


class EphemeralClient(_Embedded):
    """A client without a directory: its data is deleted when it is closed or the process ends.

    As in chromadb, all ephemeral clients open in a process at the same time share their data.
    """

    def __init__(
        self, settings: Settings | None = None, tenant: str = DEFAULT_TENANT, database: str = DEFAULT_DATABASE
    ) -> None:
        settings = (settings or Settings()).model_copy(update={"is_persistent": False})
        super().__init__(None, settings, tenant, database)


class PersistentClient(_Embedded):
    """A client of a data directory, which other processes may have open at the same time."""

    def __init__(
        self,
        path: str | Path = "./chroma",
        settings: Settings | None = None,
        tenant: str = DEFAULT_TENANT,
        database: str = DEFAULT_DATABASE,
    ) -> None:
        settings = persistent_settings(path, settings or Settings())
        super().__init__(Path(path), settings, tenant, database)


def Client(  # noqa: N802 - chromadb's name
    settings: Settings | None = None, tenant: str = DEFAULT_TENANT, database: str = DEFAULT_DATABASE
) -> ClientAPI:
    """The client that the settings describe: of a server, of a directory (`is_persistent`), or of ephemeral data."""
    settings = settings or Settings()
    if settings.chroma_api_impl == _HTTP:
        return ChromaClient(settings=settings, tenant=tenant, database=database)
    path = persistent_path(settings)
    if path is None:
        return EphemeralClient(settings, tenant, database)
    return PersistentClient(path, settings, tenant, database)


def persistent_settings(path: str | Path, settings: Settings) -> Settings:
    """The settings, changed to name this directory."""
    return settings.model_copy(update={"is_persistent": True, "persist_directory": str(path)})


def persistent_path(settings: Settings) -> Path | None:
    """The directory that the settings name, None for ephemeral data."""
    return Path(settings.persist_directory) if settings.is_persistent else None
