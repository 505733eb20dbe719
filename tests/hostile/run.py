"""One hostile run: a server with keys, attackers in a process of their own, an honest client, and the memory used.

1. Start a server that requires keys, with one key for the attackers and one for the honest client.
2. While the attackers work, the honest client works and records what it is told; the memory is sampled.
3. Afterwards every acknowledged record is there, the server ends in good order, and `afterglow verify` finds no damage.
"""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil

from afterglow.auth import Role
from afterglow.auth.api_keys import Keys
from afterglow.deployment.local import open_local
from afterglow.settings import Settings, System
from tests.hostile.attacks import HOME, Target
from tests.hostile.honest import Experience, visit
from tests.support.http import BareClient
from tests.support.server import Server, running, script

SMALL_SECONDS, LARGE_SECONDS = 0.25, 2.0
BIG_DOCUMENT = 1_000_000
BIG_DOCUMENTS = 8


@dataclass(frozen=True, slots=True)
class Result:
    """What a run showed."""

    experience: Experience
    attacks: Counter[str]
    peak_bytes: int
    bound_bytes: int
    cpu_seconds: float
    missing: list[str]
    verified: bool
    log: str

    def faults(self) -> list[str]:
        """What must not happen, whatever the speed of the machine."""
        found = [*self.experience.failures[:5]]
        found += [f"acknowledged and lost: {name}" for name in self.missing[:5]]
        if self.peak_bytes > self.bound_bytes:
            found.append(f"memory: {self.peak_bytes:,} bytes, the bound is {self.bound_bytes:,}")
        if not self.verified:
            found.append("afterglow verify found damage")
        if "Traceback" in self.log:
            line = next(line for line in self.log.splitlines() if "Traceback" in line)
            found.append(f"a traceback in the log: {line[:200]} … {line[-500:]}")
        found += [f"{name}: {count}" for name, count in self.attacks.items() if name.rpartition(" ")[2] in _FAULTS]
        return found

    def slow(self) -> list[str]:
        """Targets of speed that were missed."""
        targets = {"small read": SMALL_SECONDS, "small write": SMALL_SECONDS, "5 MB write": LARGE_SECONDS}
        return [
            f"{kind}: p99 {self.experience.percentile(kind, 0.99):.3f} s, the target is {target:g} s"
            for kind, target in targets.items()
            if self.experience.percentile(kind, 0.99) > target
        ]


_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "most": 1.0}
_FAULTS = {"500", "501", "502", "504"}


def memory_bound(settings: Settings, connections: int) -> int:
    """The bound of docs/operations.md in bytes, for a server with little data."""
    per_connection = 640 * 1024
    return (
        256 * 1024**2
        + 3 * max(settings.max_inflight_body_bytes, settings.max_body_bytes)
        + settings.max_inflight_response_bytes * 3 // 2
        + per_connection * connections
    )


def hostile_run(folder: Path, seconds: float, connections: int, *, workers: int = 1, seed: int = 1) -> Result:
    """Run it in an empty folder."""
    path, system = folder / "data", System()
    deployment = open_local(path, system)
    keys = Keys(deployment.table, system)
    honest_key, hostile_key = (keys.create(Role.ADMIN, "default_tenant", None)[0] for _ in range(2))
    deployment.table.close()
    options = [] if workers == 1 else ["--workers", str(workers)]
    settings = Settings(client_timeout_seconds=10.0)
    env = {"AFTERGLOW_AUTH": "keys", "AFTERGLOW_CLIENT_TIMEOUT_SECONDS": "10"}
    with running(path, options=options, env=env) as server, server.client() as client:
        honest = Target(server.port, _create(client, honest_key, "honest"), honest_key)
        hostile = Target(server.port, _create(client, hostile_key, "hostile"), hostile_key)
        for number in range(BIG_DOCUMENTS):
            body = orjson.dumps(
                {"ids": [f"big-{number}"], "embeddings": [[1, 2, 3, 4]], "documents": ["y" * BIG_DOCUMENT]}
            )
            assert client.call(hostile.post("add", f"content-length: {len(body)}") + body).status == 201
        memory = _Memory(server)
        arguments = (server.port, hostile.collection, hostile_key, connections, seconds, seed)
        attackers = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.attackers", *map(str, arguments)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        experience = visit(client, honest, seconds)
        attacks = Counter[str](json.loads(attackers.communicate(timeout=120)[0]))
        peak, cpu_seconds = memory.stop()
        missing = _missing(client, honest, experience.acknowledged)
        server.stop()
        assert server.process.returncode == 0
        log = server.output.read_text(errors="replace")
    checked = subprocess.run([script("afterglow"), "verify", "--path", str(path)], check=False, capture_output=True)
    bound = memory_bound(settings, connections) * workers
    return Result(experience, attacks, peak, bound, cpu_seconds, missing, checked.returncode == 0, log)


def _create(client: BareClient, key: str, name: str) -> str:
    body = orjson.dumps({"name": name})
    head = Target(0, "", key).head("POST", HOME, "content-type: application/json", f"content-length: {len(body)}")
    return str(orjson.loads(client.call(head + body).body)["id"])


def _missing(client: BareClient, target: Target, acknowledged: list[str]) -> list[str]:
    found: set[str] = set()
    for start in range(0, len(acknowledged), 1_000):
        body = orjson.dumps({"ids": acknowledged[start : start + 1_000], "include": []})
        answer = client.call(target.post("get", f"content-length: {len(body)}") + body)
        found |= set(orjson.loads(answer.body)["ids"])
    return [name for name in acknowledged if name not in found]


class _Memory:
    """Samples memory and processor time of the server, without the indexer, whose memory has a bound of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._peak = 0
        self._cpu_began = self._cpu_seconds()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def stop(self) -> tuple[int, float]:
        """The peak in bytes, and seconds of processor time since the start."""
        self._ended.set()
        self._thread.join()
        return self._peak, self._cpu_seconds() - self._cpu_began

    def _cpu_seconds(self) -> float:
        times = [process.cpu_times() for process in self._processes()]
        return float(sum(spent.user + spent.system for spent in times))

    def _sample(self) -> None:
        while not self._ended.wait(0.1):
            self._peak = max(self._peak, sum(map(_own_bytes, self._processes())))

    def _processes(self) -> list[psutil.Process]:
        first = psutil.Process(self._server.process.pid)
        try:
            return [first, *(child for child in first.children() if "afterglow.cli.worker" in child.cmdline())]
        except psutil.Error:
            return [first]


def _own_bytes(process: psutil.Process) -> int:
    """Resident memory without mapped files, which the system reclaims as it needs."""
    try:
        info = process.memory_info()
    except psutil.Error:
        return 0
    return int(info.rss - info.shared)


def report(result: Result, seconds: float, began: float) -> str:
    """The result as text."""
    lines = [f"{seconds:g} s of attack, {time.monotonic() - began:.0f} s in all"]
    for kind, timings in result.experience.seconds.items():
        percentiles = {name: result.experience.percentile(kind, share) for name, share in _SHARES.items()}
        lines.append(
            f"{kind:12} {len(timings):6,} requests, milliseconds: "
            + ", ".join(f"{name} {seconds * 1000:.1f}" for name, seconds in percentiles.items())
        )
    lines.append(f"memory: peak {result.peak_bytes >> 20:,} MiB, bound {result.bound_bytes >> 20:,} MiB")
    lines.append(f"processor time of the server: {result.cpu_seconds:.1f} s")
    lines.append(f"{len(result.experience.acknowledged):,} records acknowledged, {len(result.missing)} of them missing")
    lines.append(", ".join(f"{name}: {count}" for name, count in sorted(result.attacks.items())))
    problems = [*result.faults(), *result.slow()]
    lines += [f"FAULT: {problem}" for problem in problems] or ["no fault"]
    return "\n".join(lines)
