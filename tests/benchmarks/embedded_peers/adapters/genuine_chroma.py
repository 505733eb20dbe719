"""Chroma's embedded client."""

from tests.benchmarks.embedded_peers.adapters.chroma_client import genuine as open_peer

__all__ = ["open_peer"]
