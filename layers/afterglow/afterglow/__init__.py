"""Afterglow: a vector database that speaks the Chroma API, as one process or as Lambda functions.

The rooms, each importing only those below it::

    cli         the commands: run, demo, …
    serverless  the Lambda functions' own: events to requests, logs, metrics and traces, snapshots
    client      the stock client's API over the app in this process
    api         the Chroma wire: routes, models, errors → status, OpenAPI; the ASGI app
    imports     bulk in: files of records, by ranges, each row once; receipts
    moving      a collection as a file, a database as a copy, and what comes from a genuine Chroma
    jobs        fold, compaction, garbage collection, and the process that runs them locally
    collection  replica, planner, write path: what add, upsert, update, delete, get and query mean
    ranking     rank expressions of searches: arithmetic over scores, groups
    filters     where and where_document: parse once, evaluate over columns
    segment     the immutable segment: write, open, nearest, fetch; the manifest that names segments
    columns     typed metadata columns and text blobs, in memory and on disk
    log         append and read-after over the table
    access      who may call: API keys, passwords, roles and scopes, the gate with its cache and throttle
    catalog     tenants, databases, collections, names, schemas
    storage     three ports — Table, Objects, Queue — and their adapters
    metering    what a request used: billed calls, milliseconds
    settings    the only reader of the environment, the clock and randomness
    errors      the error tree
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afterglow.embedded import (
        AdminClient,
        AsyncEphemeralClient,
        AsyncPersistentClient,
        EphemeralClient,
        PersistentClient,
    )

__version__ = "0.1.0"
__all__ = ["AdminClient", "AsyncEphemeralClient", "AsyncPersistentClient", "EphemeralClient", "PersistentClient"]


def __getattr__(name: str) -> Any:
    """The embedded clients, imported when one is asked for: they need chromadb, which the server does not."""
    if name in __all__:
        return getattr(import_module("afterglow.embedded"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
