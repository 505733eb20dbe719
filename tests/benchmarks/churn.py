"""What churn leaves: half of the rows replaced in random order, twice; recall, latency and disk after each time.

The rows are loaded by Chroma's client and replaced by upserts in batches, with vectors that no row had before. After
each step the server is left alone until it is idle. Queries are held out; recall is tie-aware, over the rows as they
are then.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from afterglow import __version__
from tests.benchmarks.arguments import add_corpus, bench_parser, write_table
from tests.benchmarks.bulk_load import megabytes
from tests.benchmarks.cold_rows import Matrix, RowMaker, Truth
from tests.benchmarks.http_client import HttpClientProcess
from tests.benchmarks.peers import Peer
from tests.benchmarks.report import Circumstances
from tests.benchmarks.stock_loop import wait_until_idle
from tests.support.wire import build

BATCH, QUERIES, K, PARTS = 5_000, 500, 10, 10
WARM = 50
HEADER = (
    "| churn | recall@10 | with a filter of 10 % | query p50, ms | CPU ms a row | disk, MB |\n|---|--:|--:|--:|--:|--:|"
)


@dataclass(frozen=True)
class State:
    """Figures after a step."""

    name: str
    recall: float
    filtered_recall: float
    milliseconds: float
    cpu_ms: float
    megabytes: float

    def line(self) -> str:
        """A row of the table."""
        return (
            f"| {self.name} | {self.recall:.3f} | {self.filtered_recall:.3f} | {self.milliseconds:.2f} "
            f"| {self.cpu_ms:.2f} | {self.megabytes:,.0f} |"
        )


class Churn:
    """A server and the rows that it should have."""

    def __init__(self, peer: Peer, folder: Path, rows: int, queries: Matrix) -> None:
        self._peer, self._folder, self._queries = peer, folder, queries
        self._collection = peer.stock()
        self._rows: Matrix = np.empty((rows, queries.shape[1]), dtype=np.float32)

    def put(self, name: str, numbers: NDArray[np.int64], vectors: Matrix) -> State:
        """Upsert these rows, wait until the server is idle, and measure."""
        before = self._peer.cpu_seconds()
        for start in range(0, len(numbers), BATCH):
            part = numbers[start : start + BATCH]
            self._rows[part] = vectors[start : start + BATCH]
            self._collection.upsert(
                ids=[f"row-{number}" for number in part.tolist()],
                embeddings=vectors[start : start + BATCH],
                metadatas=[{"part": number % PARTS} for number in part.tolist()],
            )
        self._peer.wait_until_indexed()
        wait_until_idle(self._peer)
        cpu_ms = 1e3 * (self._peer.cpu_seconds() - before) / len(numbers)
        truth = Truth(self._rows, self._queries, K)
        recall, milliseconds = self._ask(truth, None)
        filtered, _ = self._ask(truth, 3)
        return State(name, recall, filtered, milliseconds, cpu_ms, megabytes(self._folder))

    def _ask(self, truth: Truth, part: int | None) -> tuple[float, float]:
        """The mean recall and the median milliseconds of all queries."""
        where = None if part is None else {"part": part}
        mask = None if part is None else np.arange(len(self._rows)) % PARTS == part
        requests = [
            build(
                "POST",
                self._peer.path("query"),
                {"query_embeddings": [query], "n_results": K, "include": ["distances"], "where": where},
            )
            for query in self._queries
        ]
        with HttpClientProcess() as http:
            server = self._peer.running
            timed = http.in_order(server.host, server.port, requests, warm=requests[:WARM])
        found = [[int(name.removeprefix("row-")) for name in json.loads(body)["ids"][0]] for body in timed.bodies]
        recalls = [truth.recall(number, rows, mask) for number, rows in enumerate(found)]
        return float(np.mean(recalls)), 1e3 * median(timed.seconds)


def measure(peer: Peer, folder: Path, maker: RowMaker, rows: int) -> list[State]:
    """The figures after the load, and after each time that half of the rows were replaced."""
    made = maker.take(2 * rows + QUERIES)
    churn = Churn(peer, folder, rows, made[2 * rows :])
    random = np.random.default_rng(17)
    states = [churn.put("the load", np.arange(rows), made[:rows])]
    for time in (1, 2):
        half = random.permutation(rows)[: rows // 2]
        vectors = made[rows + (time - 1) * (rows // 2) :][: rows // 2]
        states.append(churn.put(f"replacing half, time {time}", half, vectors))
    return states


def main() -> None:
    """Measure and print."""
    parser = bench_parser("tests.benchmarks.churn", __doc__)
    add_corpus(parser)
    parser.add_argument("--rows", type=int, default=300_000, help="rows of the collection")
    parser.add_argument("--folder", type=Path, help="directory for the data, 8 KB per row (default: the system's)")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="afterglow-churn-", dir=options.folder) as folder:
        peer = Peer("afterglow", Path(folder) / "data")
        peer.start()
        try:
            states = measure(peer, Path(folder) / "data", RowMaker(options.corpus), options.rows)
        finally:
            peer.stop()
    source = "rows between those of a corpus" if options.corpus else "synthetic rows"
    circumstances = Circumstances(source, options.rows, f"afterglow {__version__}").line()
    table = "\n".join([HEADER, *(state.line() for state in states), "", circumstances, ""])
    print(table)
    write_table(options.markdown, table)


if __name__ == "__main__":
    main()
