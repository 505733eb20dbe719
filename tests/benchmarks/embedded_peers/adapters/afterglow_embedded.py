"""Afterglow's embedded client."""

from pathlib import Path
from typing import Any
from uuid import UUID

from tests.benchmarks.embedded_peers.adapters.adapter import Records
from tests.benchmarks.embedded_peers.adapters.chroma_client import ChromaClient


def open_peer(folder: Path, records: Records) -> ChromaClient:
    """A client on a new directory."""
    import afterglow
    from afterglow.collection.types import Scope

    client: Any = afterglow.PersistentClient(path=str(folder))

    def wait() -> None:
        engine = client._engine.context.engine
        engine.wait_until_indexed(Scope("default_tenant", "default_database", UUID(str(peer.identity))))

    peer = ChromaClient(client, records, wait, client.close)
    return peer
