"""The two servers of a run: how each is started, left to settle, weighed and stopped."""

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
DISK_QUIET_SECONDS = 75.0
"""Disk is read when it has not changed for this long: longer than ours keeps what no manifest names."""
DISK_SECONDS = 240.0


def genuine_environment(root: Path) -> Path:
    """The environment of the genuine server, made with pip when it is not there or its requirements changed."""
    environment, wanted = root / ".venv-chroma", REQUIREMENTS.read_text()
    stamp = environment / ".ready"
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([script("python"), "-m", "venv", str(environment)], check=True)
        pip = [script("python", environment), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*pip, "install", "--quiet", "-r", str(REQUIREMENTS)], check=True)
        stamp.write_text(wanted)
    return environment


@dataclass
class Contender:
    """One server under measurement. `environment` is the genuine server's; None means ours."""

    name: str
    folder: Path
    environment: Path | None = None
    server: Server | None = None
    memory: PeakMemory | None = None
    collection_id: str = ""
    disk_bytes: dict[str, int] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Whether this is the server of this repository."""
        return self.environment is None

    @property
    def running(self) -> Server:
        """The running server."""
        assert self.server is not None, f"{self.name} is not running"
        return self.server

    def command(self, port: int, options: Sequence[str] = ()) -> list[str]:
        """What starts it."""
        if self.environment is None:
            return afterglow_command(self.folder, port, options)
        return chroma_command(self.folder, port, self.environment)

    def start(self, options: Sequence[str] = ()) -> None:
        """Start it on its folder and wait for the heartbeat."""
        port = free_port()
        self.server = spawn(self.command(port, options), self.folder, port)
        wait_until_ready(self.server)

    def stop(self) -> None:
        """Stop it in good order."""
        if self.server is not None:
            self.server.stop()
            self.server = None

    def start_to_first_answer(self, request: bytes) -> float:
        """Start it; seconds from the start of the process to the first good answer to `request`."""
        port = free_port()
        began = time.perf_counter()
        self.server = spawn(self.command(port), self.folder, port)
        client = self.server.client(timeout=60)
        while time.perf_counter() - began < 120:
            try:
                if client.call(request).status == 200:
                    took = time.perf_counter() - began
                    client.close()
                    return took
            except ConnectionLost:
                pass
            time.sleep(0.002)
        raise RuntimeError(f"{self.name} gave no answer in 120 s:\n{self.server.printed()}")

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
        """Return when every acknowledged operation is indexed; the genuine server indexes before it answers."""
        if not self.ours:
            return
        deadline = time.monotonic() + SETTLE_SECONDS
        with self.running.client() as client:
            while Wire(client).unindexed(self.collection_id) > 0:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name} did not finish indexing in {SETTLE_SECONDS} s")
                time.sleep(0.05)

    def settle(self) -> None:
        """Return when everything is indexed and the process tree has come to rest."""
        with contextlib.suppress(Refused):
            self.wait_until_indexed()
        deadline = time.monotonic() + SETTLE_SECONDS / 5
        quiet = 0
        while quiet < 3 and time.monotonic() < deadline:
            before = self._cpu_seconds()
            time.sleep(0.25)
            quiet = quiet + 1 if self._cpu_seconds() - before < 0.02 else 0

    def _cpu_seconds(self) -> float:
        total = 0.0
        with contextlib.suppress(psutil.Error):
            first = psutil.Process(self.running.process.pid)
            for each in (first, *first.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = each.cpu_times()
                    total += times.user + times.system
        return total

    def disk(self) -> int:
        """Bytes allocated to the files of its folder now."""
        total = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    total += Path(folder, name).stat().st_blocks * 512
        return total


def disk_at_rest(contenders: Sequence[Contender]) -> dict[str, int]:
    """Bytes on disk of each contender, once none has changed for DISK_QUIET_SECONDS (or DISK_SECONDS have passed)."""
    began = changed = time.monotonic()
    seen = {each.name: each.disk() for each in contenders}
    while time.monotonic() - changed < DISK_QUIET_SECONDS and time.monotonic() - began < DISK_SECONDS:
        time.sleep(2)
        now = {each.name: each.disk() for each in contenders}
        if now != seen:
            seen, changed = now, time.monotonic()
    return seen
