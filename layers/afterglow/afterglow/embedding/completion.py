"""Completes a write before it reaches the log: embeddings of documents, and sparse vectors of words.

What is embedded, as Chroma's clients do it:

* add and upsert: each record without an embedding, from its document;
* update: each document that comes without an embedding, if the collection names a function that the server runs;
  otherwise the old embedding stays, as in Chroma's server;
* each sparse index with a source: the vector of that text, unless the metadata has one already.

A collection that names no function uses the server's own as long as it has no vectors; the function is then put into
its configuration before the first write, so that clients, and later writes, use the same. Vectors that a client made
itself are of an unknown model: nothing is mixed with them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog.model import Collection
from afterglow.embedding.embedder import Vectors
from afterglow.embedding.function import (
    BM25,
    EmbeddingFunction,
    SparseSource,
    dense_function,
    sparse_function,
    sparse_sources,
)
from afterglow.embedding.service import EmbeddingService
from afterglow.errors import InvalidArgument, WrongDimension
from afterglow.log.batch import Batch, Op


@dataclass(frozen=True, slots=True)
class Completed:
    """A batch with all of its vectors; `new_function` must be put into the collection's configuration first."""

    batch: Batch
    new_function: EmbeddingFunction | None = None


def lacks_embeddings(batch: Batch) -> bool:
    """Whether the batch has records with a document and no embedding."""
    return batch.op is not Op.DELETE and batch.documents is not None and bool(len(_missing(batch)))


def has_sparse_sources(collection: Collection) -> bool:
    """Whether writes to the collection need sparse vectors made."""
    return bool(sparse_sources(collection.schema))


def complete(batch: Batch, collection: Collection, service: EmbeddingService) -> Completed:
    """The batch with the vectors that it lacks. Raises InvalidArgument, WrongDimension, Busy, Unavailable."""
    batch = _with_sparse(batch, sparse_sources(collection.schema))
    if not lacks_embeddings(batch):
        return Completed(batch)
    function = dense_function(collection.schema)
    if batch.op is Op.UPDATE and (function is None or not service.runs(function)):
        return Completed(batch)
    used = function or default_function(collection, service)
    rows = _missing(batch)
    vectors = service.embed_documents(used, _documents(batch, rows))
    expected = collection.dimension if batch.dimension is None else batch.dimension
    if expected is not None and expected != vectors.shape[1]:
        raise WrongDimension(expected, vectors.shape[1])
    return Completed(_with_vectors(batch, rows, vectors), None if function is not None else used)


def query_function(collection: Collection, service: EmbeddingService) -> EmbeddingFunction:
    """The function of a query's texts. Raises InvalidArgument."""
    return dense_function(collection.schema) or default_function(collection, service)


def default_function(collection: Collection, service: EmbeddingService) -> EmbeddingFunction:
    """The function of a collection that names none. Raises InvalidArgument."""
    if service.default is None:
        raise InvalidArgument(
            f"Collection [{collection.name}] names no embedding function, and this server has no default one "
            f"(AFTERGLOW_EMBEDDER); it runs {service.describe()}. Send embeddings, or create the collection with "
            f'"configuration": {{"embedding_function": {{"type": "known", "name": …, "config": {{…}}}}}}'
        )
    if collection.dimension is not None:
        raise InvalidArgument(
            f"Collection [{collection.name}] names no embedding function, and its embeddings of dimension "
            f"{collection.dimension} come from clients: send embeddings, or name the function that they come from in "
            f"its configuration (PUT, new_configuration); this server runs {service.describe()}"
        )
    return service.default


def sparse_query(schema: Mapping[str, Any], key: str, text: str) -> dict[str, Any]:
    """The sparse vector of a query's text for the index under `key`. Raises InvalidArgument."""
    function = sparse_function(schema, key)
    if function is None or function.name != BM25:
        name = "none" if function is None else repr(function.name)
        raise InvalidArgument(
            f"a text cannot be searched under '{key}': the embedding function of its sparse index is {name}, and this "
            f"server runs {BM25} there. Send a sparse vector"
        )
    from afterglow.embedding import bm25

    return bm25.bm25(function).encode(text)


def _missing(batch: Batch) -> NDArray[np.int64]:
    """The rows to embed, ascending."""
    if batch.vectors is not None and batch.vector_rows is None:
        return np.empty(0, dtype=np.int64)
    is_missing = np.ones(len(batch.ids), dtype=bool)
    if batch.vector_rows is not None:
        is_missing[batch.vector_rows] = False
    if batch.op is Op.UPDATE:
        is_missing &= np.fromiter((text is not None for text in batch.documents or ()), dtype=bool)
    return np.flatnonzero(is_missing)


def _documents(batch: Batch, rows: NDArray[np.int64]) -> list[str]:
    documents = batch.documents or ()
    texts = []
    for row in rows.tolist():
        text = documents[row]
        if text is None:
            raise InvalidArgument(f"record {batch.ids[row]!r} has neither an embedding nor a document")
        texts.append(text)
    return texts


def _with_vectors(batch: Batch, rows: NDArray[np.int64], vectors: Vectors) -> Batch:
    """The batch with more vectors, for rows that had none."""
    present = np.empty(0, dtype=np.int64)
    if batch.vectors is not None and len(batch.vectors):
        assert batch.vector_rows is not None, "a batch with all vectors lacks none"
        present = batch.vector_rows
        vectors = np.concatenate([batch.vectors, vectors])
    all_rows = np.concatenate([present, rows])
    order = np.argsort(all_rows)
    is_complete = len(all_rows) == len(batch.ids)
    return replace(
        batch,
        vectors=np.ascontiguousarray(vectors[order]),
        vector_rows=None if is_complete else all_rows[order],
    )


def _with_sparse(batch: Batch, sources: list[SparseSource]) -> Batch:
    """The batch with the sparse vectors of its texts in its metadata."""
    sources = [source for source in sources if source.function.name == BM25]
    if not sources or batch.op is Op.DELETE or (batch.documents is None and batch.metadatas is None):
        return batch
    from afterglow.embedding import bm25

    metadatas: list[dict[str, Any]] = [
        dict(metadata) if metadata else {} for metadata in batch.metadatas or [None] * len(batch.ids)
    ]
    for source in sources:
        encoder = bm25.bm25(source.function)
        texts = (batch.documents or ()) if source.is_document else [fields.get(source.source) for fields in metadatas]
        for fields, text in zip(metadatas, texts, strict=False):
            if isinstance(text, str) and source.key not in fields:
                fields[source.key] = encoder.encode(text)
    return replace(batch, metadatas=[fields or None for fields in metadatas])
