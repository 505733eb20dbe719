"""Graphs of the same vectors in each vector type: time of a build and of a search, size, recall after rescoring.

One thread. Times are CPU times, which other work on the machine disturbs least; those of searches are the least of
several rounds.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

from afterglow import __version__
from afterglow.segment import codes
from afterglow.segment.distance import Space, pairwise_sort_keys
from afterglow.segment.precision import VectorType
from tests.benchmarks import arguments, report
from tests.benchmarks import corpus as corpora

EFS = (64, 96)
QUERIES = 200
K = 10
ROUNDS = 5
BATCH = 2_000
Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Searched:
    """Of one breadth: microseconds a query, and the share of the nearest ten among the candidates."""

    microseconds: float
    recall: float


def _build(vectors: NDArray[np.generic], vector_type: VectorType) -> tuple[Index, float]:
    """A graph, and the CPU seconds of its build."""
    index = Index(ndim=vectors.shape[1], metric="l2sq", dtype=vector_type.value, connectivity=16, expansion_add=128)
    started = time.process_time()
    for start in range(0, len(vectors), BATCH):
        batch = vectors[start : start + BATCH]
        index.add(np.arange(start, start + len(batch), dtype=np.uint64), batch, threads=1)
    return index, time.process_time() - started


def _search(index: Index, queries: NDArray[np.generic], nearest: NDArray[np.int64], ef: int) -> Searched:
    index.expansion_search = ef  # type: ignore[misc]
    seconds, found = [], []
    for _ in range(ROUNDS):
        started = time.process_time()
        found = [index.search(query, ef, threads=1).keys for query in queries]
        seconds.append(time.process_time() - started)
    hits = [np.isin(rows, candidates).mean() for rows, candidates in zip(nearest, found, strict=True)]
    return Searched(1e6 * min(seconds) / len(queries), float(np.mean(hits)))


def measure(vectors: Matrix, queries: Matrix) -> list[str]:
    """The lines of the table."""
    nearest = np.argsort(pairwise_sort_keys(Space.L2, queries, vectors), axis=1)[:, :K]
    scale = codes.scale_for(float(np.abs(vectors).max()))
    titles = " | ".join(f"ef {ef}: CPU a query | recall" for ef in EFS)
    lines = [f"| vector type | build, CPU | size | {titles} |", "|---|--:|--:|" + "--:|--:|" * len(EFS)]
    for vector_type in VectorType:
        rows: NDArray[np.generic] = vectors
        asked: NDArray[np.generic] = queries
        if vector_type is VectorType.I8:
            rows, asked = (codes.encode_rows(Space.L2, values, scale) for values in (vectors, queries))
        index, seconds = _build(rows, vector_type)
        with tempfile.NamedTemporaryFile() as file:
            index.save(file.name)
            size = Path(file.name).stat().st_size
        searched = (_search(index, asked, nearest, ef) for ef in EFS)
        cells = " | ".join(f"{found.microseconds:,.0f} µs | {found.recall:.3f}" for found in searched)
        lines.append(f"| {vector_type.value} | {seconds:.1f} s | {size / 1e6:.1f} MB | {cells} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measure and print."""
    parser = arguments.bench_parser("tests.benchmarks.vector_types", __doc__)
    arguments.add_corpus(parser)
    arguments.add_rows(parser)
    options = parser.parse_args()
    records = corpora.load(options.corpus, options.rows)
    lines = measure(records.embeddings, records.queries[:QUERIES])
    circumstances = report.Circumstances(records.name, len(records), f"afterglow {__version__}").line()
    arguments.write_table(options.markdown, "\n".join([*lines, "", circumstances, ""]))


if __name__ == "__main__":
    main()
