"""Measures of forks and of the past: what a fork takes and adds, what a query of the past takes once it is warm."""

import os
import subprocess
import time
from statistics import median

import orjson

from tests.benchmarks.bare import Bare
from tests.benchmarks.contenders import COLLECTION, Contender
from tests.benchmarks.corpus import Corpus
from tests.benchmarks.targets import Samples
from tests.support.http import request_bytes
from tests.support.server import script
from tests.support.wire import Wire, build

MEGABYTE = 1_000_000
FORKS = 5
QUERIES = 150
WARM = 40


def fork(ours: Contender, samples: Samples, number: int) -> None:
    """The time of a fork of everything, and the bytes of objects that it adds; then both sides are asked."""
    before, seconds = _objects(ours), []
    with ours.running.client() as client:
        wire = Wire(client)
        count = wire.call("GET", f"/collections/{ours.collection_id}/count")
        for each in range(FORKS):
            began = time.perf_counter()
            made = wire.call("POST", f"/collections/{ours.collection_id}/fork", {"new_name": f"fork-{number}-{each}"})
            seconds.append(time.perf_counter() - began)
            assert wire.call("GET", f"/collections/{made['id']}/count") == count
        samples.add("fork_added", ours.name, (_objects(ours) - before) / MEGABYTE)
        for each in range(FORKS):
            wire.call("DELETE", f"/collections/fork-{number}-{each}")
    samples.add("fork", ours.name, 1000 * median(seconds))


def query(ours: Contender, corpus: Corpus, bare: Bare, samples: Samples, number: int) -> None:
    """Nearest ten as of now, and as of half of the load; both warm, in turns."""
    running = ours.running
    with running.client() as client:
        newest = client.call(request_bytes("GET", ours.path("count"))).header("afterglow-log-position") or ""
    rows = [(each + QUERIES * number) % len(corpus.queries) for each in range(WARM + QUERIES)]
    for key, moment in (("now", ""), ("past", f"?at={int(newest) // 2}")):
        path = ours.path("query") + moment
        requests = [build("POST", path, {"query_embeddings": [corpus.queries[row]], "n_results": 10}) for row in rows]
        timed = bare.in_order(running.host, running.port, requests[WARM:], requests[:WARM])
        assert all(len(orjson.loads(body)["ids"][0]) == 10 for body in timed.bodies)
        samples.add(key, ours.name, 1000 * median(timed.seconds))


def forget(ours: Contender) -> None:
    """Give up all that is kept for the past, with the server stopped meanwhile."""
    ours.stop()
    environment = {**os.environ, "AFTERGLOW_RETENTION_SECONDS": "0", "AFTERGLOW_GC_GRACE_SECONDS": "0"}
    command = [script("afterglow"), "compact", COLLECTION, "--path", str(ours.folder)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    ours.start()


def _objects(contender: Contender) -> int:
    return sum(each.stat().st_size for each in (contender.folder / "objects").rglob("*") if each.is_file())
