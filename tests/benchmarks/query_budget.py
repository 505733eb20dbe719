"""The budget of one plain query: what each part of it costs, and the CPU time that it takes a server process.

The parts are called one by one in this process, through the functions that a request goes through. Each figure is the
mean over the queries of the least CPU time of several rounds, which other work on the machine disturbs least. The last
line is the a server process, for a whole request over one connection, again of its best round.

With `--path` a directory is used that an earlier run has filled; without it the corpus is loaded and indexed first.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
import psutil
from numpy.typing import NDArray

from afterglow import __version__
from afterglow.api import models
from afterglow.api.app import create_app
from afterglow.api.v2 import record_responses
from afterglow.api.validation import embeddings, json_body
from afterglow.cli.main import main as afterglow_command
from afterglow.collection import Engine
from afterglow.collection.read import read_path
from afterglow.collection.read import rows as fetch
from afterglow.collection.read.read_path import ReadLimits
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Include, Scope, Selection
from afterglow.deployment.local import open_local
from afterglow.jobs.start import start_engine
from afterglow.segment import exact_knn
from afterglow.segment.distance import Space
from afterglow.server.metrics import Metrics
from afterglow.server.observe import Observer
from afterglow.settings import System, from_environment
from tests.benchmarks import arguments, report
from tests.benchmarks import corpus as corpora
from tests.support.server import running
from tests.support.wire import DATABASE, Wire, build

NAME = "packages"
QUERIES = 200
ROUNDS = 6
SERVER_ROUNDS = 4
K = 10
LOAD_BATCH = 5_000
INCLUDE = frozenset({Include.DOCUMENTS, Include.METADATAS})
FIELDS = ["metadatas", "documents", "distances"]
"""What a query includes that asks for nothing else."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An open collection with its queries, float32 (m, d), and their bodies with vectors as numbers."""

    engine: Engine
    scope: Scope
    queries: NDArray[np.float32]
    bodies: list[bytes]


def load(path: Path, corpus: corpora.Corpus) -> None:
    """Load the corpus into a directory, and index all of it."""
    with running(path) as server, server.client() as client:
        wire = Wire(client)
        collection = wire.create(NAME, metadata={"hnsw:space": "cosine"})
        for start in range(0, len(corpus), LOAD_BATCH):
            rows = slice(start, start + LOAD_BATCH)
            batch = {"documents": corpus.documents[rows], "metadatas": corpus.metadatas[rows]}
            wire.write(collection, "add", {"ids": corpus.ids[rows], "embeddings": corpus.embeddings[rows], **batch})
    afterglow_command(["compact", "--path", str(path)])


def collection_id(path: Path) -> UUID:
    """The collection in a directory that `load` has filled."""
    with running(path) as server, server.client() as client:
        return UUID(Wire(client).create(NAME))


def bodies(queries: NDArray[np.float32]) -> list[dict[str, object]]:
    """The bodies of queries, with vectors as numbers."""
    return [{"query_embeddings": [row], "n_results": K} for row in queries.tolist()]


def least(function: Callable[[int], object], count: int) -> float:
    """CPU microseconds a call: the mean over 0 … count - 1 of the least in any round."""
    times = np.full((ROUNDS, count), np.inf)
    for number in range(ROUNDS):
        for index in range(count):
            started = time.thread_time()
            function(index)
            times[number, index] = time.thread_time() - started
    return float(times.min(axis=0).mean() * 1e6)


@contextmanager
def opened(path: Path, queries: NDArray[np.float32]) -> Iterator[Subject]:
    """The collection, open in this process."""
    scope = Scope("default_tenant", "default_database", collection_id(path))
    system, settings = System(), from_environment()
    engine = start_engine(open_local(path, system), settings, system)
    requests = [build("POST", "", body).partition(b"\r\n\r\n")[2] for body in bodies(queries)]
    try:
        yield Subject(engine, scope, queries, requests)
    finally:
        engine.close()


def _snapshot(subject: Subject) -> Snapshot:
    return subject.engine._reader.snapshot(subject.scope)


def parts(subject: Subject) -> Iterator[tuple[str, float]]:
    """Each part of a query, and its CPU microseconds."""
    queries, count = subject.queries, len(subject.queries)
    snapshot = _snapshot(subject)
    space = Space.COSINE
    (group,) = snapshot.row_groups
    assert group.graph is not None, "the collection is not indexed as one graph"
    graph, everything = group.graph, Selection(None, None, None)
    limits = ReadLimits(3600.0, 0)

    def parse(index: int) -> None:
        body = json_body.parse(models.QueryRecords, subject.bodies[index])
        embeddings.parse_queries(body.query_embeddings, 1)

    yield "body to vector", least(parse, count)
    yield "catch up with the log, snapshot", least(lambda _: _snapshot(subject), count)
    yield "row masks: liveness and filters", least(lambda _: fetch.selection_masks(snapshot, everything), count)
    breadth = max(2 * K, graph.ef(K))
    yield f"graph, breadth {breadth}", least(lambda index: graph.search(queries[index], breadth), count)
    candidates = [graph.search(query, breadth) for query in queries]
    yield (
        "exact ranking of its candidates",
        least(lambda index: exact_knn.rerank(group.rows, space, queries[index], candidates[index], K), count),
    )

    def find(index: int) -> read_path.Hits:
        query = queries[index : index + 1]
        return read_path.find(snapshot, query, K, everything, INCLUDE, limits=limits, exact_search_max_rows=0)

    hits = [find(index) for index in range(count)]
    yield "records: located and read", least(lambda index: _fetch(snapshot, candidates[index][:K]), count)
    results = [found.read() for found in hits]
    yield "response to JSON", least(lambda index: record_responses.query_body(results[index], FIELDS), count)
    yield "all of it in the application, with routing and metrics", _application(subject)


def _fetch(snapshot: Snapshot, rows: NDArray[np.int64]) -> None:
    fetch.plan(snapshot, np.zeros(len(rows), np.int64), rows, INCLUDE).read()


def _application(subject: Subject) -> float:
    """CPU microseconds of a request in the ASGI application, without a connection."""
    settings, path = from_environment(), f"{DATABASE}/collections/{subject.scope.collection}/query"
    app = create_app(subject.engine, settings, System(), allow_reset=False)
    observed = Observer(app, Metrics(), settings, lambda: 1, subject.engine.take_recall, traces=None)

    async def send(_message: object) -> None:
        pass

    async def call(body: bytes) -> None:
        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body, "more_body": False}

        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
        await observed({**scope, "headers": headers, "client": ("127.0.0.1", 1), "extensions": {}}, receive, send)

    async def measure_calls() -> NDArray[np.float64]:
        times = np.full((ROUNDS, len(subject.bodies)), np.inf)
        for number in range(ROUNDS):
            for index, body in enumerate(subject.bodies):
                started = time.thread_time()
                await call(body)
                times[number, index] = time.thread_time() - started
        return times

    return float(asyncio.run(measure_calls()).min(axis=0).mean() * 1e6)


def server_milliseconds(path: Path, queries: NDArray[np.float32]) -> float:
    """CPU milliseconds (user and system) of a server process for a whole request, in the best round."""
    rounds = []
    with running(path) as server, server.client() as client:
        route = f"{DATABASE}/collections/{Wire(client).create(NAME)}/query"
        requests = [build("POST", route, body) for body in bodies(queries)]
        process = psutil.Process(server.process.pid)
        for _ in range(SERVER_ROUNDS):
            before = process.cpu_times()
            for request in requests:
                assert client.call(request).status == 200
            after = process.cpu_times()
            rounds.append(after.user + after.system - before.user - before.system)
    return 1000 * min(rounds) / len(requests)


def measure(path: Path, queries: NDArray[np.float32]) -> list[str]:
    """The lines of the table."""
    lines = ["| part of a query | CPU |", "|---|--:|"]
    with opened(path, queries[:QUERIES]) as subject:
        for title, microseconds in parts(subject):
            lines.append(f"| {title} | {microseconds:,.0f} µs |")
            print(lines[-1], flush=True)
    lines.append(f"| a server process, for a whole request | {server_milliseconds(path, queries):.2f} ms |")
    print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measure and print."""
    parser = arguments.bench_parser("tests.benchmarks.query_budget", __doc__)
    arguments.add_corpus(parser)
    arguments.add_rows(parser)
    parser.add_argument("--path", type=Path, help="directory to keep between runs (default: a temporary one)")
    options = parser.parse_args()
    corpus = corpora.load(options.corpus, options.rows)
    with tempfile.TemporaryDirectory() as temporary:
        path = options.path or Path(temporary) / "data"
        if not path.exists():
            load(path, corpus)
        lines = measure(path, corpus.queries)
    circumstances = report.Circumstances(corpus.name, len(corpus), f"afterglow {__version__}").line()
    arguments.write_table(options.markdown, "\n".join([*lines, "", circumstances, ""]))


if __name__ == "__main__":
    main()
