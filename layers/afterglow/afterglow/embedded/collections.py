"""Chroma's collections, with the texts of those without an embedding function embedded by the engine.

Chroma's client refuses texts where `embedding_function` is None. Here the engine in this process runs the function that
the collection names, or its own, as a server does for requests without embeddings.
"""

from typing import Any, Protocol, cast
from uuid import UUID

import numpy as np
from chromadb.api.models.AsyncCollection import AsyncCollection
from chromadb.api.models.Collection import Collection
from chromadb.api.models.CollectionCommon import CollectionCommon
from chromadb.api.types import Embeddings
from numpy.typing import NDArray


class EmbedsTexts(Protocol):
    """A connection to an engine that embeds."""

    def embed_texts(
        self, tenant: str, database: str, collection_id: UUID, texts: list[str], *, is_query: bool
    ) -> NDArray[np.float32] | None:
        """The vectors of the texts; None if the collection names a function that the engine does not run."""


class _EngineTexts(CollectionCommon[Any]):
    """Embeds texts by the engine where there is no function."""

    def _embed(self, input: Any, is_query: bool = False) -> Embeddings:  # noqa: A002 - chromadb's signature
        if self._embedding_function is None and all(isinstance(text, str) for text in input):
            client = cast(EmbedsTexts, self._client)
            vectors = client.embed_texts(self.tenant, self.database, self.id, list(input), is_query=is_query)
            if vectors is not None:
                return cast(Embeddings, list(vectors))
        return super()._embed(input, is_query)


class EngineCollection(_EngineTexts, Collection):
    """A collection of the synchronous clients."""

    @classmethod
    def of(cls, collection: Collection) -> "EngineCollection":
        """The same collection."""
        return cls(collection._client, collection._model, collection._embedding_function, collection._data_loader)


class AsyncEngineCollection(_EngineTexts, AsyncCollection):
    """A collection of the asynchronous clients."""

    @classmethod
    def of(cls, collection: AsyncCollection) -> "AsyncEngineCollection":
        """The same collection."""
        return cls(collection._client, collection._model, collection._embedding_function, collection._data_loader)
