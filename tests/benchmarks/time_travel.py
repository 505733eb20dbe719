"""Fork and time travel benchmarks: time and bytes of a fork, time of a warm point-in-time query."""

import os
import subprocess
import time
from statistics import median

import orjson

from tests.benchmarks.corpus import Corpus
from tests.benchmarks.http_client import HttpClientProcess
from tests.benchmarks.peers import COLLECTION, Peer
from tests.benchmarks.targets import Samples
from tests.support.http import request_bytes
from tests.support.server import script
from tests.support.wire import Wire, build

MEGABYTE = 1_000_000
FORKS = 5
QUERIES = 150
WARM = 40


def fork(peer: Peer, samples: Samples, number: int) -> None:
    """Time of a fork of the whole collection, and bytes of objects it adds; then both collections are counted."""
    before, seconds = _objects(peer), []
    with peer.running.client() as client:
        wire = Wire(client)
        count = wire.call("GET", f"/collections/{peer.collection_id}/count")
        for copy in range(FORKS):
            started = time.perf_counter()
            created = wire.call(
                "POST", f"/collections/{peer.collection_id}/fork", {"new_name": f"fork-{number}-{copy}"}
            )
            seconds.append(time.perf_counter() - started)
            assert wire.call("GET", f"/collections/{created['id']}/count") == count
        samples.add("fork_added", peer.name, (_objects(peer) - before) / MEGABYTE)
        for copy in range(FORKS):
            wire.call("DELETE", f"/collections/fork-{number}-{copy}")
    samples.add("fork", peer.name, 1000 * median(seconds))


def query(peer: Peer, corpus: Corpus, http: HttpClientProcess, samples: Samples, number: int) -> None:
    """Ten nearest, now and as of half of the load; both warm."""
    running = peer.running
    with running.client() as client:
        newest = client.call(request_bytes("GET", peer.path("count"))).header("afterglow-log-position") or ""
    rows = [(query + QUERIES * number) % len(corpus.queries) for query in range(WARM + QUERIES)]
    for key, suffix in (("now", ""), ("time_travel", f"?at={int(newest) // 2}")):
        path = peer.path("query") + suffix
        requests = [build("POST", path, {"query_embeddings": [corpus.queries[row]], "n_results": 10}) for row in rows]
        timed = http.in_order(running.host, running.port, requests[WARM:], requests[:WARM])
        assert all(len(orjson.loads(body)["ids"][0]) == 10 for body in timed.bodies)
        samples.add(key, peer.name, 1000 * median(timed.seconds))


def drop_history(peer: Peer) -> None:
    """Drop the whole history; the server is stopped meanwhile."""
    peer.stop()
    environment = {**os.environ, "AFTERGLOW_RETENTION_SECONDS": "0", "AFTERGLOW_GC_GRACE_SECONDS": "1"}
    command = [script("afterglow"), "compact", COLLECTION, "--path", str(peer.folder)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    peer.start()


def _objects(peer: Peer) -> int:
    return sum(path.stat().st_size for path in (peer.folder / "objects").rglob("*") if path.is_file())
