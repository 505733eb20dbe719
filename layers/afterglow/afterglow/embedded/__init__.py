"""Embedded clients: Chroma's Python clients over an engine in this process, with no network in between.

`EphemeralClient()` and `PersistentClient(path)` are subclasses of chromadb's own client, so collections, embedding
functions, validation and errors are Chroma's; only the transport below them is different. All are closed by `close()`
or at the end of a `with` block; the asynchronous ones are opened by `await` or `async with`::

    with afterglow.PersistentClient("./data") as client: ...
    async with afterglow.AsyncPersistentClient("./data") as client: ...

::

    sync_client async_client   the clients
    collections                chromadb's collections, with texts embedded by the engine
    chroma_api                 chromadb's HTTP connection, with the transport in place of the network
    transport                  httpx over an ASGI app on a thread of its own
    joint_transactions         transactions of several collections
    transactions               transactions, of these clients and of those of a server
    ranks                      rank expressions that chromadb does not have
    registry                   the engine and the app of each open path, shared by the clients of this process

Clients with the same path share one engine within a process. Other processes, servers included, may have the same path
open at the same time. chromadb is an optional dependency: `pip install "afterglow-db[chromadb]"`.
"""

from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec

if find_spec("chromadb") is None:
    raise ModuleNotFoundError(
        'the embedded clients need chromadb: pip install "afterglow-db[chromadb]"', name="chromadb"
    )

# usearch makes the symbols of a library visible to all others, and onnxruntime crashes if it is loaded after that, as
# Chroma's default embedding function does with the first text.
with suppress(ImportError):
    import_module("onnxruntime")

from afterglow.embedded.async_client import AsyncEphemeralClient, AsyncPersistentClient
from afterglow.embedded.joint_transactions import joint_transaction
from afterglow.embedded.ranks import Rerank
from afterglow.embedded.sync_client import AdminClient, Client, EphemeralClient, PersistentClient
from afterglow.embedded.transaction_buffer import TransactionAborted
from afterglow.embedded.transactions import transaction

__all__ = [
    "AdminClient",
    "AsyncEphemeralClient",
    "AsyncPersistentClient",
    "Client",
    "EphemeralClient",
    "PersistentClient",
    "Rerank",
    "TransactionAborted",
    "joint_transaction",
    "transaction",
]
