"""chromadb's HTTP connection to a server, with an in-process transport instead of the network.

The classes are chromadb's own; the httpx client that they would open is replaced, and the synchronous one's calls for
records.
"""

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import httpx
import numpy as np
from chromadb.api.async_fastapi import AsyncFastAPI
from chromadb.api.fastapi import FastAPI
from chromadb.api.types import (
    Documents,
    Embeddings,
    GetResult,
    IDs,
    Include,
    IncludeMetadataDocuments,
    IncludeMetadataDocumentsDistances,
    Metadatas,
    QueryResult,
    URIs,
    Where,
    WhereDocument,
    validate_batch,
)
from chromadb.config import DEFAULT_DATABASE, DEFAULT_TENANT, Settings, System
from numpy.typing import NDArray
from overrides import override

from afterglow.collection import Op
from afterglow.collection.types import Records, Scope
from afterglow.embedded.direct import DirectRecords, distances_of, embeddings_of, metadatas_of, scope_of
from afterglow.embedded.registry import SharedEngine
from afterglow.embedded.transport import HOST, Transport


class Server(FastAPI):
    """The connection of the synchronous client; its calls for records bypass HTTP (`embedded.direct`)."""

    def __init__(self, settings: Settings, transport: Transport, engine: SharedEngine) -> None:
        super().__init__(System(settings.model_copy(update=_CONNECTION)))
        self._session.close()
        self._session = httpx.Client(transport=transport, **_session(settings))
        self._records = DirectRecords(engine.runner, engine.context, self._raise_chroma_error)

    def close(self) -> None:
        """Closes the session; later requests raise RuntimeError."""
        self._session.close()

    @override
    def _add(  # noqa: PLR0917 - chromadb's signature
        self,
        ids: IDs,
        collection_id: UUID,
        embeddings: Embeddings,
        metadatas: Metadatas | None = None,
        documents: Documents | None = None,
        uris: URIs | None = None,
        tenant: str = DEFAULT_TENANT,
        database: str = DEFAULT_DATABASE,
    ) -> bool:
        return self._write(
            Op.ADD,
            scope_of(tenant, database, collection_id),
            ids,
            embeddings=embeddings,
            metadatas=metadatas,
            documents=documents,
            uris=uris,
        )

    @override
    def _update(  # noqa: PLR0917 - chromadb's signature
        self,
        collection_id: UUID,
        ids: IDs,
        embeddings: Embeddings | None = None,
        metadatas: Metadatas | None = None,
        documents: Documents | None = None,
        uris: URIs | None = None,
        tenant: str = DEFAULT_TENANT,
        database: str = DEFAULT_DATABASE,
    ) -> bool:
        return self._write(
            Op.UPDATE,
            scope_of(tenant, database, collection_id),
            ids,
            embeddings=embeddings,
            metadatas=metadatas,
            documents=documents,
            uris=uris,
        )

    @override
    def _upsert(  # noqa: PLR0917 - chromadb's signature
        self,
        collection_id: UUID,
        ids: IDs,
        embeddings: Embeddings,
        metadatas: Metadatas | None = None,
        documents: Documents | None = None,
        uris: URIs | None = None,
        tenant: str = DEFAULT_TENANT,
        database: str = DEFAULT_DATABASE,
    ) -> bool:
        return self._write(
            Op.UPSERT,
            scope_of(tenant, database, collection_id),
            ids,
            embeddings=embeddings,
            metadatas=metadatas,
            documents=documents,
            uris=uris,
        )

    def _write(
        self,
        op: Op,
        scope: Scope,
        ids: IDs,
        *,
        embeddings: Embeddings | None,
        metadatas: Metadatas | None,
        documents: Documents | None,
        uris: URIs | None,
    ) -> bool:
        self._require_open()
        validate_batch((ids, embeddings, metadatas, documents, uris), {"max_batch_size": self.get_max_batch_size()})
        self._records.write(op, scope, embeddings, ids=ids, metadatas=metadatas, documents=documents, uris=uris)
        return True

    @override
    def _get(  # noqa: PLR0917 - chromadb's signature
        self,
        collection_id: UUID,
        ids: IDs | None = None,
        where: Where | None = None,
        limit: int | None = None,
        offset: int | None = None,
        where_document: WhereDocument | None = None,
        include: Include = IncludeMetadataDocuments,
        tenant: str = DEFAULT_TENANT,
        database: str = DEFAULT_DATABASE,
    ) -> GetResult:
        self._require_open()
        records = self._records.get(
            scope_of(tenant, database, collection_id),
            ids=ids,
            where=where,
            limit=limit,
            offset=offset,
            where_document=where_document,
            include=[name for name in include if name != "data"],
        )
        return GetResult(
            ids=records.ids,
            embeddings=cast(Any, embeddings_of(records)),
            documents=cast(Any, records.documents),
            uris=cast(Any, records.uris),
            metadatas=metadatas_of(records),
            data=None,
            included=include,
        )

    @override
    def _query(  # noqa: PLR0917 - chromadb's signature
        self,
        collection_id: UUID,
        query_embeddings: Embeddings,
        ids: IDs | None = None,
        n_results: int = 10,
        where: Where | None = None,
        where_document: WhereDocument | None = None,
        include: Include = IncludeMetadataDocumentsDistances,
        tenant: str = DEFAULT_TENANT,
        database: str = DEFAULT_DATABASE,
    ) -> QueryResult:
        self._require_open()
        results = self._records.query(
            scope_of(tenant, database, collection_id),
            query_embeddings,
            ids=ids,
            n_results=n_results,
            where=where,
            where_document=where_document,
            include=[name for name in include if name != "data"],
        )
        hits = [result.records for result in results]

        def column(name: str, values_of: Callable[[Records], Any]) -> Any:
            return [values_of(records) for records in hits] if name in include else None

        return QueryResult(
            ids=[records.ids for records in hits],
            distances=[distances_of(result) for result in results] if "distances" in include else None,
            embeddings=column("embeddings", embeddings_of),
            metadatas=column("metadatas", metadatas_of),
            documents=column("documents", lambda records: records.documents),
            uris=column("uris", lambda records: records.uris),
            data=None,
            included=include,
        )

    def embed_texts(
        self, tenant: str, database: str, collection_id: UUID, texts: list[str], *, is_query: bool
    ) -> NDArray[np.float32] | None:
        """The vectors of the texts; None if the collection names a function that the engine does not run."""
        self._require_open()
        return self._records.embed(scope_of(tenant, database, collection_id), texts, is_query=is_query)

    def _require_open(self) -> None:
        """Raises RuntimeError after `close`, as the session does."""
        if self._session.is_closed:
            raise RuntimeError("Cannot send a request, as the client has been closed.")


class AsyncServer(AsyncFastAPI):
    """The connection of the asynchronous client. It opens no sockets, so one session serves every event loop."""

    def __init__(self, settings: Settings, transport: Transport, engine: SharedEngine) -> None:
        super().__init__(System(settings.model_copy(update=_CONNECTION)))
        self._session = httpx.AsyncClient(transport=transport, **_session(settings))
        self._records = DirectRecords(engine.runner, engine.context, self._raise_chroma_error)

    def embed_texts(
        self, tenant: str, database: str, collection_id: UUID, texts: list[str], *, is_query: bool
    ) -> NDArray[np.float32] | None:
        """The vectors of the texts; None if the collection names a function that the engine does not run."""
        return self._records.embed(scope_of(tenant, database, collection_id), texts, is_query=is_query)

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
