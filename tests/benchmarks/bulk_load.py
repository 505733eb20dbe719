"""Bulk loads of 100,000 and of a million rows: cost per row from file to index, and peak memory.

The records are synthetic: vectors in clusters of few dimensions, turned into 384, each with a document and metadata.
`afterglow import` loads them from `.npy` and JSON Lines into a directory and indexes in a process of its own; peak
memory covers both processes. A server on that directory then answers the queries.
"""

import contextlib
import os
import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow import __version__
from tests.benchmarks import arguments
from tests.benchmarks.http_client import HttpClientProcess
from tests.benchmarks.memory import PeakMemory
from tests.benchmarks.peers import Peer
from tests.benchmarks.report import Circumstances
from tests.support.distances import pairwise_squared_l2
from tests.support.server import script
from tests.support.wire import Wire, build

Matrix = NDArray[np.float32]

DIMENSION = 384
LATENT = 32
CLUSTERS = 2_000
CHUNK = 25_000
QUERIES = 200
WARM = 100
K = 10
TIES = 2e-6
COLLECTION = "scale"
LIMITS = {"memory": 4_000.0, "growth": 1.3, "recall": 0.95}
"""Megabytes, times, share."""
_RATE = re.compile(r"([\d,]+) rows/s")
_SECTIONS = tuple(f"section {number}" for number in range(50))


class Source:
    """Endless vectors of unit length from the same clusters, the same in every run."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(384)
        self._centres = self._random.standard_normal((CLUSTERS, LATENT), dtype=np.float32)
        self._turn = self._random.standard_normal((LATENT, DIMENSION), dtype=np.float32) / np.float32(LATENT**0.5)

    def take(self, count: int) -> Matrix:
        """The next vectors, float32 (count, d)."""
        near = self._centres[self._random.integers(0, CLUSTERS, count)]
        latent = near + np.float32(0.6) * self._random.standard_normal((count, LATENT), dtype=np.float32)
        noise = self._random.standard_normal((count, DIMENSION), dtype=np.float32)
        vectors: Matrix = latent @ self._turn + np.float32(0.15) * noise
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def write(source: Source, rows: int, folder: Path) -> Path:
    """Write the records as `.npy` and JSON Lines; return the path of the JSON Lines file."""
    folder.mkdir(parents=True)
    lines = folder / "records.jsonl"
    matrix = np.lib.format.open_memmap(folder / "records.npy", mode="w+", dtype=np.float32, shape=(rows, DIMENSION))
    with lines.open("wb") as file:
        for start in range(0, rows, CHUNK):
            stop = min(start + CHUNK, rows)
            matrix[start:stop] = source.take(stop - start)
            file.writelines(_line(number) for number in range(start, stop))
    matrix.flush()
    return lines


def _line(number: int) -> bytes:
    record = {
        "id": f"record {number}",
        "document": f"Record {number} of a synthetic collection, {_SECTIONS[number % 50]}; " + "a few words more " * 6,
        "metadata": {"section": _SECTIONS[number % 50], "size": number * 37 % 100_003, "share": number / 7, "on": True},
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def nearest(vectors: Matrix, queries: Matrix) -> Matrix:
    """The distance of the k-th nearest row to each query, by exhaustive search."""
    best = np.full((len(queries), K), np.inf, dtype=np.float32)
    for start in range(0, len(vectors), CHUNK):
        distances = pairwise_squared_l2(queries, vectors[start : start + CHUNK], 1.0)
        best = np.partition(np.concatenate([best, distances], axis=1), K - 1, axis=1)[:, :K]
    distance: Matrix = best.max(axis=1)
    return distance


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one load: rows/s to the log and to the index, processor milliseconds a row, and megabytes; then of queries,
    median milliseconds and recall@10."""

    rows: int
    logged: float
    indexed: float
    processor: float
    memory: float
    disk: float
    disk_without_history: float
    segments: int
    milliseconds: float
    recall: float


def measure(rows: int, folder: Path, source: Source) -> Figures:
    """Load the rows into a new directory and query a server on it."""
    lines = write(source, rows, folder / "files")
    data = folder / "data"
    before, started = _processor_seconds(), time.perf_counter()
    command = [script("afterglow"), "import", str(lines), "--collection", COLLECTION, "--path", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        memory = PeakMemory(process.pid)
        out, _ = process.communicate()
        elapsed = time.perf_counter() - started
    spent = _processor_seconds() - before
    peak = memory.finish()
    rate = _RATE.search(out)
    if process.returncode or rate is None or peak is None:
        raise RuntimeError(f"the import ended with {process.returncode}:\n{out}")
    _compact(data, AFTERGLOW_GC_GRACE_SECONDS="1")
    disk = megabytes(data)
    _compact(data, AFTERGLOW_GC_GRACE_SECONDS="1", AFTERGLOW_RETENTION_SECONDS="0")
    milliseconds, recall = _query(data, np.load(folder / "files" / "records.npy", mmap_mode="r"), source.take(QUERIES))
    return Figures(
        rows=rows,
        logged=float(rate[1].replace(",", "")),
        indexed=rows / elapsed,
        processor=1000 * spent / rows,
        memory=peak / 1e6,
        disk=disk,
        disk_without_history=megabytes(data),
        segments=len(list(data.glob("objects/*/segments/*/*graph"))),
        milliseconds=milliseconds,
        recall=recall,
    )


def _compact(data: Path, **variables: str) -> None:
    """Index the remaining log and delete unreferenced objects."""
    command = [script("afterglow"), "compact", "--path", str(data)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **variables})


def _processor_seconds() -> float:
    """CPU seconds of this process's finished children and their children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def megabytes(folder: Path) -> float:
    """What the files below a folder take on disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / 1e6


@contextlib.contextmanager
def _serve(data: Path) -> Iterator[Peer]:
    peer = Peer("afterglow", data)
    peer.start()
    try:
        yield peer
    finally:
        peer.stop()


def _query(data: Path, vectors: Matrix, queries: Matrix) -> tuple[float, float]:
    """Median milliseconds of a query, and recall@10."""
    with _serve(data) as server, HttpClientProcess() as http:
        with server.running.client() as client:
            server.collection_id = Wire(client).call("GET", f"/collections/{COLLECTION}")["id"]
        requests = [
            build("POST", server.path("query"), {"query_embeddings": [query], "n_results": K, "include": ["distances"]})
            for query in queries
        ]
        timed = http.in_order(server.running.host, server.running.port, requests, requests[:WARM])
    reach = nearest(vectors, queries)
    answers = [orjson.loads(body)["distances"][0] for body in timed.bodies]
    shares = [np.mean(np.array(row) <= farthest + TIES) for row, farthest in zip(answers, reach.tolist(), strict=True)]
    return 1000 * median(timed.seconds), float(np.mean(shares))


def markdown(loads: list[Figures], circumstances: str) -> str:
    """The table in markdown, with the line of circumstances below it."""
    first, last = loads[0], loads[-1]

    def row(title: str, figures: Iterable[str], growth: float | None = None) -> str:
        return f"| {title} | {' | '.join(figures)} | {'' if growth is None else f'{growth:.2f}×'} |"

    lines = [
        f"| bulk load | {' | '.join(f'{load.rows:,} rows' for load in loads)} | growth |",
        f"|---|{'--:|' * len(loads)}--:|",
        row("rows/s, acknowledged", (f"{load.logged:,.0f}" for load in loads)),
        row("rows/s, fully indexed", (f"{load.indexed:,.0f}" for load in loads), first.indexed / last.indexed),
        row("CPU time per row", (f"{load.processor:.2f} ms" for load in loads), last.processor / first.processor),
        row("peak memory, all processes", (f"{load.memory:,.0f} MB" for load in loads)),
        row("disk, with 7 days of history", (f"{load.disk:,.0f} MB" for load in loads)),
        row("disk, without history", (f"{load.disk_without_history:,.0f} MB" for load in loads)),
        row("segments with an HNSW graph", (str(load.segments) for load in loads)),
        row("query p50", (f"{load.milliseconds:.2f} ms" for load in loads), last.milliseconds / first.milliseconds),
        row("recall@10", (f"{load.recall:.3f}" for load in loads)),
    ]
    return "\n".join([*lines, "", circumstances, ""])


def shortcomings(loads: list[Figures]) -> list[str]:
    """The limits that were exceeded."""
    first, last = loads[0], loads[-1]
    reached = {"memory": last.memory <= LIMITS["memory"], "recall": last.recall >= LIMITS["recall"]}
    reached["growth"] = last.processor / first.processor <= LIMITS["growth"]
    return [f"{name}: the limit is {LIMITS[name]:g}" for name, is_well in reached.items() if not is_well]


def main() -> None:
    """Measure and print."""
    parser = arguments.bench_parser("tests.benchmarks.bulk_load", __doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000], help="rows of each load")
    parser.add_argument("--folder", type=Path, help="directory for the data, 12 KB per row (default: the system's)")
    parser.add_argument(
        "--concurrent-load", default="nothing else ran", help="other load on the machine, for the table's caption"
    )
    options = parser.parse_args()
    loads: list[Figures] = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory(prefix="afterglow-bulk-load-", dir=options.folder) as folder:
            loads.append(measure(rows, Path(folder), Source()))
            print(loads[-1], flush=True)
    circumstances = Circumstances("synthetic records", max(options.rows), f"afterglow {__version__}").line()
    table = markdown(loads, f"{circumstances}; {options.concurrent_load}")
    print(table)
    arguments.write_table(options.markdown, table)
    if failures := shortcomings(loads):
        raise SystemExit("; ".join(failures))


if __name__ == "__main__":
    main()
