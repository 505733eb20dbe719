"""The two servers of a run: start, wait until idle, measure, stop."""

import contextlib
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.benchmarks.memory import PeakMemory
from tests.support.http import ConnectionLost
from tests.support.server import Server, afterglow_command, chroma_command, free_port, script, spawn, wait_until_ready
from tests.support.wire import DATABASE, Refused, Wire

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

REQUIREMENTS = Path(__file__).with_name("requirements-chroma.txt")
COLLECTION = "packages"
SETTLE_SECONDS = 300.0
DISK_IDLE_SECONDS = 75.0
"""Disk is read when it has not changed for this long: longer than Afterglow keeps unreferenced objects."""
DISK_SECONDS = 240.0


def chroma_environment(root: Path) -> Path:
    """Chroma's virtual environment."""
    return environment_of(root / ".venv-chroma", REQUIREMENTS)


def environment_of(environment: Path, requirements: Path) -> Path:
    """A virtual environment; created with pip when missing or when its requirements changed."""
    content, stamp = requirements.read_text(), environment / ".ready"
    if not stamp.exists() or stamp.read_text() != content:
        subprocess.run([script("python"), "-m", "venv", str(environment)], check=True)
        pip = [script("python", environment), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*pip, "install", "--quiet", "-r", str(requirements)], check=True)
        stamp.write_text(content)
    return environment


@dataclass
class Peer:
    """One server under measurement. `environment` is Chroma's; None means Afterglow."""

    name: str
    folder: Path
    environment: Path | None = None
    server: Server | None = None
    memory: PeakMemory | None = None
    collection_id: str = ""
    disk_bytes: dict[str, int] = field(default_factory=dict)

    @property
    def is_afterglow(self) -> bool:
        """Whether this is the server of this repository."""
        return self.environment is None

    @property
    def running(self) -> Server:
        """The running server."""
        assert self.server is not None, f"{self.name} is not running"
        return self.server

    def command(self, port: int, options: Sequence[str] = ()) -> list[str]:
        """Its command line."""
        if self.environment is None:
            return afterglow_command(self.folder, port, options)
        return chroma_command(self.folder, port, self.environment)

    def start(self, options: Sequence[str] = ()) -> None:
        """Start it on its folder and wait for the heartbeat."""
        port = free_port()
        self.server = spawn(self.command(port, options), self.folder, port)
        wait_until_ready(self.server)

    def stop(self) -> None:
        """Stop it gracefully."""
        if self.server is not None:
            self.server.stop()
            self.server = None

    def start_to_first_response(self, request: bytes) -> float:
        """Start it; seconds from the start of the process to the first successful response to `request`."""
        port = free_port()
        started = time.perf_counter()
        self.server = spawn(self.command(port), self.folder, port)
        client = self.server.client(timeout=60)
        while time.perf_counter() - started < 120:
            try:
                if client.call(request).status == 200:
                    elapsed = time.perf_counter() - started
                    client.close()
                    return elapsed
            except ConnectionLost:
                pass
            time.sleep(0.002)
        raise RuntimeError(f"{self.name} did not respond within 120 s:\n{self.server.printed()}")

    def stock(self) -> "Collection":
        """The collection through a new stock client; made with default settings when it is not there."""
        import chromadb

        client = chromadb.HttpClient(host=self.running.host, port=self.running.port)
        collection = client.get_or_create_collection(COLLECTION, embedding_function=None)
        self.collection_id = str(collection.id)
        return collection

    def path(self, verb: str) -> str:
        """The path of a record route."""
        return f"{DATABASE}/collections/{self.collection_id}/{verb}"

    def wait_until_indexed(self) -> None:
        """Return when every acknowledged operation is indexed; Chroma indexes before it responds."""
        if not self.is_afterglow:
            return
        deadline = time.monotonic() + SETTLE_SECONDS
        with self.running.client() as client:
            while Wire(client).unindexed(self.collection_id) > 0:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name} did not finish indexing in {SETTLE_SECONDS} s")
                time.sleep(0.05)

    def settle(self) -> None:
        """Return when everything is indexed and the process tree is idle."""
        with contextlib.suppress(Refused):
            self.wait_until_indexed()
        deadline = time.monotonic() + SETTLE_SECONDS / 5
        idle = 0
        while idle < 3 and time.monotonic() < deadline:
            before = self.cpu_seconds()
            time.sleep(0.25)
            idle = idle + 1 if self.cpu_seconds() - before < 0.02 else 0

    def cpu_seconds(self) -> float:
        """Of the process and its children, those included that have ended."""
        total = 0.0
        with contextlib.suppress(psutil.Error):
            first = psutil.Process(self.running.process.pid)
            for process in (first, *first.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    total += times.user + times.system + times.children_user + times.children_system
        return total

    def disk(self) -> int:
        """Bytes allocated to the files of its folder now."""
        total = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    total += Path(folder, name).stat().st_blocks * 512
        return total


def stable_disk_usage(peers: Sequence[Peer]) -> dict[str, int]:
    """Bytes on disk of each peer, once none has changed for DISK_IDLE_SECONDS (or DISK_SECONDS have passed)."""
    started = changed = time.monotonic()
    usage = {peer.name: peer.disk() for peer in peers}
    while time.monotonic() - changed < DISK_IDLE_SECONDS and time.monotonic() - started < DISK_SECONDS:
        time.sleep(2)
        now = {peer.name: peer.disk() for peer in peers}
        if now != usage:
            usage, changed = now, time.monotonic()
    return usage
