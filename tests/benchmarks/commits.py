"""What a commit costs beside a plain write: over HTTP to a server process on a data directory, all synced to disk.

``python -m tests.benchmarks.commits`` prints the table of docs/benchmarks.md. Both kinds take turns, record by record
with one writer and round by round with sixteen. Requests are built before the clock starts, except for the token. With
one writer the record is read before each write, of either kind and untimed, so that a commit has the token of the
moment. Sixteen writers have disjoint ids, and all tokens of a round are of its start: each commit looks at what the
others have written since. Any conflict or other refusal ends the run.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from afterglow import __version__
from tests.benchmarks import arguments
from tests.benchmarks import corpus as corpora
from tests.benchmarks.corpus import Corpus
from tests.benchmarks.http_client import HttpClientProcess
from tests.benchmarks.report import Circumstances
from tests.support.http import BareClient
from tests.support.server import Server, running
from tests.support.wire import DATABASE, Wire, build

ROWS, WRITERS, PER_WRITER, WARM = 1_000, 16, 8, 20
HEADINGS = ("commit", "transaction", "plain write", "ratio")


@dataclass
class Costs:
    """Of one kind of write, one writer: milliseconds until the response, and of the server's processor."""

    elapsed: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def cpu_milliseconds(server: Server) -> float:
    """What the threads of the server have used so far, to the nanosecond (Linux)."""
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e6


class Bench:
    """A server with two equal collections, whose records are written again and again."""

    def __init__(self, server: Server, client: BareClient, corpus: Corpus) -> None:
        self._server, self._client, self._corpus = server, client, corpus
        wire = Wire(client)
        self._collections = [wire.create(name) for name in ("first", "second")]
        for collection in self._collections:
            wire.write(collection, "add", self._records(slice(0, ROWS)))

    def _records(self, rows: slice) -> dict[str, Any]:
        corpus = self._corpus
        return {
            "ids": corpus.ids[rows],
            "embeddings": corpus.embeddings[rows],
            "documents": corpus.documents[rows],
            "metadatas": corpus.metadatas[rows],
        }

    def _token(self, collection: str, row: int) -> int:
        body = {"ids": [self._corpus.ids[row]], "read_token": None}
        read = self._call(build("POST", f"{DATABASE}/collections/{collection}/conditional/get", body))
        return int(read["read_token"])

    def _call(self, request: bytes) -> Any:
        response = self._client.call(request)
        if response.status >= 300:
            raise RuntimeError(f"status {response.status}: {response.body[:300]!r}")
        return orjson.loads(response.body)

    def _plain(self, collection: str, row: int) -> bytes:
        records = self._records(slice(row, row + 1))
        return build("POST", f"{DATABASE}/collections/{collection}/upsert", records)

    def _commit(self, row: int, token: int) -> dict[str, Any]:
        operation = {"operation": "upsert", "payload": self._records(slice(row, row + 1))}
        return {"read_token": token, "read_ids": [self._corpus.ids[row]], "operations": [operation]}

    def _single(self, row: int, token: int) -> bytes:
        return build(
            "POST", f"{DATABASE}/collections/{self._collections[0]}/conditional/commit", self._commit(row, token)
        )

    def _joint(self, row: int, tokens: list[int]) -> bytes:
        entries = [
            {"collection_id": collection, **self._commit(row, token)}
            for collection, token in zip(self._collections, tokens, strict=True)
        ]
        return build("POST", f"{DATABASE}/conditional/commit", {"collections": entries})

    def _measure(self, costs: Costs, requests: list[bytes]) -> None:
        cpu, started = cpu_milliseconds(self._server), time.perf_counter()
        for request in requests:
            self._call(request)
        costs.elapsed.append(1000 * (time.perf_counter() - started))
        costs.cpu.append(cpu_milliseconds(self._server) - cpu)

    def turns(self, number: int, collections: int) -> tuple[Costs, Costs]:
        """Commits in so many collections, and as many plain writes of the same records; the first ones do not count."""
        plain, commits = Costs(), Costs()
        chosen = self._collections[:collections]
        for index in range(-WARM, number):
            row = index * 37 % ROWS
            for is_commit in (True, False) if index % 2 else (False, True):
                tokens = [self._token(collection, row) for collection in chosen]
                if not is_commit:
                    requests = [self._plain(collection, row) for collection in chosen]
                else:
                    requests = [self._single(row, tokens[0]) if collections == 1 else self._joint(row, tokens)]
                counted = commits if is_commit else plain
                self._measure(Costs() if index < 0 else counted, requests)
        return commits, plain

    def rates(self, rounds: int, http: HttpClientProcess) -> tuple[list[float], list[float]]:
        """Commits and plain writes a second of sixteen writers on disjoint ids."""
        found: tuple[list[float], list[float]] = ([], [])
        rows = range(WRITERS * PER_WRITER)
        makers: tuple[Callable[[int, int], bytes], ...] = (
            self._single,
            lambda row, _token: self._plain(self._collections[0], row),
        )
        for number in range(rounds + 1):
            for kind in (0, 1) if number % 2 else (1, 0):
                token = self._token(self._collections[0], 0)
                requests = [makers[kind](row, token) for row in rows]
                warm = [build("GET", f"{DATABASE}/collections/{self._collections[0]}/count")]
                rate = http.concurrently(self._server.host, self._server.port, requests, warm, WRITERS)
                found[kind].extend([rate] if number else [])
        return found


def _row(title: str, commit: float, plain: float, unit: str) -> str:
    digits = 0 if plain >= 100 else 2
    return f"| {title} | {commit:,.{digits}f} {unit} | {plain:,.{digits}f} {unit} | {commit / plain:.2f} |"


def measure(corpus: Corpus, number: int, rounds: int) -> list[str]:
    """The lines of the table."""
    lines = [f"| {' | '.join(HEADINGS)} |", "|---|--:|--:|--:|"]
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder) / "data") as server,
        server.client() as client,
        HttpClientProcess() as http,
    ):
        bench = Bench(server, client, corpus)
        for collections, title in ((1, "one writer"), (2, "two collections, two plain writes")):
            commits, plain = bench.turns(number, collections)
            lines.append(_row(f"{title}: time, median", median(commits.elapsed), median(plain.elapsed), "ms"))
            lines.append(_row(f"{title}: CPU, median", median(commits.cpu), median(plain.cpu), "ms"))
        commit_rates, plain_rates = bench.rates(rounds, http)
        lines.append(_row("16 writers, disjoint ids, median", median(commit_rates), median(plain_rates), "/s"))
    return lines


def main() -> None:
    """Measure and print."""
    parser = arguments.bench_parser("tests.benchmarks.commits", __doc__)
    parser.add_argument("--writes", type=int, default=300, help="of each kind with one writer")
    parser.add_argument("--rounds", type=int, default=10, help="of each kind with sixteen")
    options = parser.parse_args()
    corpus = corpora.load(None, ROWS)
    lines = measure(corpus, options.writes, options.rounds)
    circumstances = Circumstances(corpus.name, len(corpus), f"afterglow {__version__}").line()
    table = "\n".join([*lines, "", circumstances, ""])
    print(table)
    arguments.write_table(options.markdown, table)


if __name__ == "__main__":
    main()
