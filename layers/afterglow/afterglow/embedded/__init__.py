"""Embedded clients: the stock client's API over the application in this process, with no socket in between.

`EphemeralClient()` and `PersistentClient(path)` are chromadb's own client classes, so collections, embedding functions,
validation and errors are the stock ones; only the transport below them is ours. The async forms are awaited, or
entered::

    with afterglow.PersistentClient("./data") as client: ...
    async with afterglow.AsyncPersistentClient("./data") as client: ...

Clients of one path share one engine within a process, and any number of processes may have the same path open, servers
included. chromadb is not among Afterglow's requirements: it comes with `pip install "afterglow[chromadb]"`.
"""

from importlib.util import find_spec

if find_spec("chromadb") is None:
    raise ModuleNotFoundError(
        'the embedded clients are made of the stock client: pip install "afterglow[chromadb]"', name="chromadb"
    )

from afterglow.embedded.async_client import AsyncEphemeralClient, AsyncPersistentClient
from afterglow.embedded.sync_client import AdminClient, EphemeralClient, PersistentClient

__all__ = ["AdminClient", "AsyncEphemeralClient", "AsyncPersistentClient", "EphemeralClient", "PersistentClient"]
