"""Bulk loads: what a row costs from the file to the index, at 100,000 rows and at a million, and the memory for it.

The records are synthetic: vectors in clusters of few dimensions, turned into 384, each with a document and metadata.
They go in as a user's would, by `afterglow import` of `.npy` beside JSON Lines into a directory, which indexes in a
process of its own; the memory is that of both. Then a server on the directory is asked.
"""

import argparse
import contextlib
import os
import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import orjson
from numpy.typing import NDArray

from tests.benchmarks.bare import Bare
from tests.benchmarks.contenders import Contender
from tests.benchmarks.memory import PeakMemory
from tests.benchmarks.report import Circumstances
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
        found: Matrix = latent @ self._turn + np.float32(0.15) * noise
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found


def write(source: Source, rows: int, folder: Path) -> Path:
    """The records as `.npy` beside JSON Lines; the latter's path."""
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
    """The distance of the k-th nearest row to each query, found by looking at all."""
    best = np.full((len(queries), K), np.inf, dtype=np.float32)
    for start in range(0, len(vectors), CHUNK):
        distances = 2 - 2 * (queries @ vectors[start : start + CHUNK].T)
        best = np.partition(np.concatenate([best, distances], axis=1), K - 1, axis=1)[:, :K]
    found: Matrix = best.max(axis=1)
    return found


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
    disk_bare: float
    segments: int
    milliseconds: float
    recall: float


def measure(rows: int, folder: Path, source: Source) -> Figures:
    """Load so many rows into a new directory, and ask a server on it."""
    lines = write(source, rows, folder / "files")
    data = folder / "data"
    before, began = _processor_seconds(), time.perf_counter()
    command = [script("afterglow"), "import", str(lines), "--collection", COLLECTION, "--path", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        memory = PeakMemory(process.pid)
        out, _ = process.communicate()
        took = time.perf_counter() - began
    spent = _processor_seconds() - before
    peak = memory.finish()
    rate = _RATE.search(out)
    if process.returncode or rate is None or peak is None:
        raise RuntimeError(f"the import ended with {process.returncode}:\n{out}")
    _compact(data, AFTERGLOW_GC_GRACE_SECONDS="0")
    disk = _megabytes(data)
    _compact(data, AFTERGLOW_GC_GRACE_SECONDS="0", AFTERGLOW_RETENTION_SECONDS="0")
    milliseconds, recall = _asked(data, np.load(folder / "files" / "records.npy", mmap_mode="r"), source.take(QUERIES))
    return Figures(
        rows=rows,
        logged=float(rate[1].replace(",", "")),
        indexed=rows / took,
        processor=1000 * spent / rows,
        memory=peak / 1e6,
        disk=disk,
        disk_bare=_megabytes(data),
        segments=len(list(data.glob("objects/*/segments/*/graph"))),
        milliseconds=milliseconds,
        recall=recall,
    )


def _compact(data: Path, **variables: str) -> None:
    """Finish what the import left to quiet times, and delete what nothing needs."""
    command = [script("afterglow"), "compact", "--path", str(data)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **variables})


def _processor_seconds() -> float:
    """Of this process's children that ended, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _megabytes(folder: Path) -> float:
    return sum(each.stat().st_blocks * 512 for each in folder.rglob("*") if each.is_file()) / 1e6


@contextlib.contextmanager
def _served(data: Path) -> Iterator[Contender]:
    contender = Contender("ours", data)
    contender.start()
    try:
        yield contender
    finally:
        contender.stop()


def _asked(data: Path, vectors: Matrix, queries: Matrix) -> tuple[float, float]:
    """Median milliseconds of a query, and recall@10."""
    with _served(data) as server, Bare() as bare:
        with server.running.client() as client:
            server.collection_id = Wire(client).call("GET", f"/collections/{COLLECTION}")["id"]
        requests = [
            build("POST", server.path("query"), {"query_embeddings": [each], "n_results": K, "include": ["distances"]})
            for each in queries
        ]
        timed = bare.in_order(server.running.host, server.running.port, requests, requests[:WARM])
    reach = nearest(vectors, queries)
    answers = [orjson.loads(body)["distances"][0] for body in timed.bodies]
    shares = [np.mean(np.array(each) <= far + TIES) for each, far in zip(answers, reach.tolist(), strict=True)]
    return 1000 * median(timed.seconds), float(np.mean(shares))


def markdown(found: list[Figures], circumstances: str) -> str:
    """The table in markdown, with the line of circumstances below it."""
    first, last = found[0], found[-1]

    def row(title: str, figures: Iterable[str], growth: float | None = None) -> str:
        return f"| {title} | {' | '.join(figures)} | {'' if growth is None else f'{growth:.2f}×'} |"

    lines = [
        f"| bulk load | {' | '.join(f'{each.rows:,} rows' for each in found)} | growth |",
        f"|---|{'--:|' * len(found)}--:|",
        row("rows/s, up to the log", (f"{each.logged:,.0f}" for each in found)),
        row("rows/s, to the index", (f"{each.indexed:,.0f}" for each in found), first.indexed / last.indexed),
        row("processor time a row", (f"{each.processor:.2f} ms" for each in found), last.processor / first.processor),
        row("peak memory, all processes", (f"{each.memory:,.0f} MB" for each in found)),
        row("disk, with a past of 7 days", (f"{each.disk:,.0f} MB" for each in found)),
        row("disk, without a past", (f"{each.disk_bare:,.0f} MB" for each in found)),
        row("segments with a graph", (str(each.segments) for each in found)),
        row("query p50", (f"{each.milliseconds:.2f} ms" for each in found), last.milliseconds / first.milliseconds),
        row("recall@10", (f"{each.recall:.3f}" for each in found)),
    ]
    return "\n".join([*lines, "", circumstances, ""])


def shortcomings(found: list[Figures]) -> list[str]:
    """What is not as it has to be."""
    first, last = found[0], found[-1]
    reached = {"memory": last.memory <= LIMITS["memory"], "recall": last.recall >= LIMITS["recall"]}
    reached["growth"] = last.processor / first.processor <= LIMITS["growth"]
    return [f"{name}: the limit is {LIMITS[name]:g}" for name, is_well in reached.items() if not is_well]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000], help="the sizes of the loads")
    parser.add_argument("--folder", type=Path, help="where the data is, 12 KB a row (default: the system's)")
    parser.add_argument("--beside", default="nothing else ran", help="what else the machine did, for the record")
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="write the table as markdown here")
    options = parser.parse_args()
    found: list[Figures] = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory(prefix="afterglow-scale-", dir=options.folder) as folder:
            found.append(measure(rows, Path(folder), Source()))
            print(found[-1], flush=True)
    told = Circumstances("synthetic records", max(options.rows), f"afterglow {version('afterglow')}").line()
    table = markdown(found, f"{told}; {options.beside}")
    print(table)
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(table)
    if wrong := shortcomings(found):
        raise SystemExit("; ".join(wrong))


if __name__ == "__main__":
    main()
