"""Afterglow: a vector database that serves the Chroma API, as one process or as Lambda functions.

Packages and modules, from top to bottom; each imports only those below it::

    cli         the commands: run, demo, import, export, backup, …
    embedded    Chroma's Python clients over an engine in this process
    aws_lambda  Lambda: events to requests, logs, metrics and traces, SnapStart
    server      the HTTP server process, its workers and their supervisor
    api         the Chroma API: routes, request and response models, validation, OpenAPI; the ASGI app
    bulk        import of files, export, migration from Chroma, database dumps
    jobs        indexer, compaction, garbage collection, TTL sweep, restore, verify, maintenance
    collection  the engine: replicas, read path, write path, query planner, time travel
    ranking     rank expressions of searches, and grouping of results
    filters     where and where_document: parser, and evaluation over columns
    segment     the immutable segment: vectors, HNSW, postings, columns; the manifest that lists segments
    columns     typed metadata columns and string columns, in memory and on disk
    embedding   texts to vectors: the embedding functions of collections, run by the server
    log         the write-ahead log of a collection, and its archive
    auth        API keys, passwords, roles and permissions, rate limits
    catalog     tenants, databases, collections, names, schemas
    deployment  where the data is: a data directory or an AWS account; backup targets
    records     the rules for metadata keys and values, embeddings and sparse vectors, the same for every input
    storage     three ports (Table, Objects, Queue) and their adapters: SQLite and files; DynamoDB, S3 and SQS
    metering    usage of a request: billed calls, milliseconds
    retry       exponential backoff with jitter
    settings    the only reader of the environment, the clock and randomness
    errors      the error tree
    version     the version of this release
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from afterglow.version import __version__

if TYPE_CHECKING:
    from afterglow.embedded import (
        AdminClient,
        AsyncEphemeralClient,
        AsyncPersistentClient,
        Client,
        EphemeralClient,
        PersistentClient,
        Rerank,
        TransactionAborted,
        joint_transaction,
        transaction,
    )

__all__ = [
    "AdminClient",
    "AsyncEphemeralClient",
    "AsyncPersistentClient",
    "Client",
    "EphemeralClient",
    "PersistentClient",
    "Rerank",
    "TransactionAborted",
    "__version__",
    "joint_transaction",
    "transaction",
]

CHROMA_NAMES = frozenset(
    [
        "AdminAPI",
        "AsyncClientAPI",
        "AsyncHttpClient",
        "BoolInvertedIndexConfig",
        "ClientAPI",
        "CloudClient",
        "Cmek",
        "Collection",
        "CollectionMetadata",
        "DEFAULT_DATABASE",
        "DEFAULT_TENANT",
        "Documents",
        "EmbeddingFunction",
        "Embeddings",
        "FloatInvertedIndexConfig",
        "FtsIndexConfig",
        "GetResult",
        "HnswIndexConfig",
        "HttpClient",
        "IDs",
        "Include",
        "IntInvertedIndexConfig",
        "K",
        "Key",
        "Knn",
        "Metadata",
        "Metadatas",
        "QueryResult",
        "ReadLevel",
        "Rrf",
        "Schema",
        "Search",
        "Settings",
        "SpannIndexConfig",
        "SparseEmbeddingFunction",
        "SparseVector",
        "SparseVectorIndexConfig",
        "SparseVectors",
        "StringInvertedIndexConfig",
        "TokenTransportHeader",
        "URI",
        "URIs",
        "UpdateCollectionMetadata",
        "UpdateMetadata",
        "VectorIndexConfig",
        "Where",
        "WhereDocument",
    ]
)
"""Names of chromadb that are the same here, for `import afterglow as chromadb`; `errors` has chromadb's too."""
CHROMA_MODULES = frozenset({"config", "types", "utils"})
"""Modules of chromadb that are attributes here."""


def __getattr__(name: str) -> Any:
    """Imports a client, or a name of chromadb, on first use: they need chromadb, which the server does not."""
    if name in __all__:
        return getattr(import_module("afterglow.embedded"), name)
    if name in CHROMA_NAMES or name in CHROMA_MODULES:
        import_module("afterglow.embedded")  # first: it says how to install chromadb
        return import_module(f"chromadb.{name}") if name in CHROMA_MODULES else getattr(import_module("chromadb"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
