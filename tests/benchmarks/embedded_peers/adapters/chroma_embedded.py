"""Chroma's embedded client. It indexes while it adds."""

from pathlib import Path

from tests.benchmarks.embedded_peers.adapters.adapter import Records
from tests.benchmarks.embedded_peers.adapters.chroma_client import ChromaClient


def _nothing() -> None:
    """Nothing to wait for, or to close."""


def open_peer(folder: Path, records: Records) -> ChromaClient:
    """A client on a new directory."""
    import chromadb

    return ChromaClient(chromadb.PersistentClient(path=str(folder)), records, _nothing, _nothing)
