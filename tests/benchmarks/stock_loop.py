"""A plain loop of the stock client that adds many rows, and queries beside it: what a first user's script meets.

The loop adds batches of 5,000 synthetic rows (`bulk_load.Source`) with documents and metadata, as fast as the server
takes them, and never repeats a refused batch. A client in another process sends a query every 0.2 s during the load,
from its end until all rows are indexed, while the idle server compacts, and after that.
"""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from afterglow import __version__
from tests.benchmarks.arguments import bench_parser, write_table
from tests.benchmarks.bulk_load import Matrix, Source, megabytes
from tests.benchmarks.http_client import HttpClientProcess
from tests.benchmarks.memory import PeakMemory
from tests.benchmarks.peers import Peer
from tests.benchmarks.report import Circumstances
from tests.support.wire import build

BATCH = 5_000
PAUSE_SECONDS = 0.2
QUIET_SECONDS = 90.0
LOOK_SECONDS, BUSY_SHARE = 5.0, 0.2
"""The server is idle when it and its children have used less than this share of a processor for so long."""
MOST_SECONDS = 1_800.0
K = 10


@dataclass(slots=True)
class Queries:
    """Seconds of the queries of one phase after another."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    phase: str = "load"

    def line(self, phase: str) -> str:
        """Median and worst, in milliseconds."""
        timed = self.seconds.get(phase, [])
        return f"{1000 * median(timed):.1f} / {1000 * max(timed):.0f} ms" if timed else "–"


def _ask(peer: Peer, queries: Matrix, log: Queries, end: threading.Event) -> None:
    server = peer.running
    bodies = [
        build("POST", peer.path("query"), {"query_embeddings": [query], "n_results": K, "include": ["distances"]})
        for query in queries
    ]
    with HttpClientProcess() as http:
        number = 0
        while not end.wait(PAUSE_SECONDS):
            phase, timed = log.phase, http.in_order(server.host, server.port, [bodies[number % len(bodies)]])
            log.seconds.setdefault(phase, []).append(timed.seconds[0])
            number += 1


def wait_until_idle(peer: Peer) -> None:
    """Return once the server and its children have been idle for `QUIET_SECONDS`."""
    deadline, since = time.monotonic() + MOST_SECONDS, time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS and time.monotonic() < deadline:
        used = peer.cpu_seconds()
        time.sleep(LOOK_SECONDS)
        if peer.cpu_seconds() - used > LOOK_SECONDS * BUSY_SHARE:
            since = time.monotonic()


def measure(rows: int, folder: Path) -> list[tuple[str, str]]:
    """The figures of one load, by name."""
    source, log, end = Source(), Queries(), threading.Event()
    peer = Peer("afterglow", folder)
    peer.start()
    memory, collection, refused = PeakMemory(peer.running.process.pid), peer.stock(), 0
    asking = threading.Thread(target=_ask, args=(peer, source.take(500), log, end))
    asking.start()
    try:
        loading = 0.0
        for start in range(0, rows, BATCH):
            numbers = range(start, min(start + BATCH, rows))
            vectors = source.take(len(numbers))
            batch = time.perf_counter()
            try:
                collection.add(
                    ids=[f"record {number}" for number in numbers],
                    embeddings=vectors,
                    documents=[f"Record {number} of a synthetic collection" for number in numbers],
                    metadatas=[{"section": number % 50, "size": number * 37 % 100_003} for number in numbers],
                )
            except Exception as error:  # noqa: BLE001  the client's errors have no common class
                refused += 1
                print(f"batch {start // BATCH} was refused: {error}", flush=True)
            loading += time.perf_counter() - batch
        loaded, log.phase = time.perf_counter(), "indexing"
        peer.wait_until_indexed()
        indexing, spent = time.perf_counter() - loaded, peer.cpu_seconds()
        log.phase = "idle"
        wait_until_idle(peer)
        log.phase = "at the end"
        time.sleep(50 * PAUSE_SECONDS)
    finally:
        end.set()
        asking.join()
    peak, later = memory.finish(), peer.cpu_seconds()
    disk = megabytes(folder)
    peer.stop()
    return [
        ("refused batches", f"{refused}"),
        ("rows/s, acknowledged", f"{(rows - refused * BATCH) / loading:,.0f}"),
        ("rows/s, indexed", f"{rows / (loading + indexing):,.0f}"),
        ("CPU time per row until indexed", f"{1000 * spent / rows:.2f} ms"),
        ("CPU time per row until idle", f"{1000 * later / rows:.2f} ms"),
        ("query p50 / worst, during the load", log.line("load")),
        ("query p50 / worst, until indexed", log.line("indexing")),
        ("query p50 / worst, while it compacts", log.line("idle")),
        ("query p50 / worst, at the end", log.line("at the end")),
        ("peak memory, all processes", "–" if peak is None else f"{peak / 1e6:,.0f} MB"),
        ("disk at the end", f"{disk:,.0f} MB"),
    ]


def main() -> None:
    """Measure and print."""
    parser = bench_parser("tests.benchmarks.stock_loop", __doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to add")
    parser.add_argument("--folder", type=Path, help="directory for the data, 8 KB per row (default: the system's)")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="afterglow-stock-loop-", dir=options.folder) as folder:
        figures = measure(options.rows, Path(folder) / "data")
    circumstances = Circumstances("synthetic records", options.rows, f"afterglow {__version__}").line()
    lines = ["| a loop of the stock client | |", "|---|--:|", *(f"| {name} | {value} |" for name, value in figures)]
    table = "\n".join([*lines, "", circumstances, ""])
    print(table)
    write_table(options.markdown, table)


if __name__ == "__main__":
    main()
