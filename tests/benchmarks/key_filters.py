"""What a key's filter costs beside the same `where` in the request: CPU of the thread that answers.

``python -m tests.benchmarks.key_filters`` prints the table of docs/benchmarks.md. Both kinds take turns on the same
queries, in this process: parsing and HTTP are the same for either and not in the times. The results are compared, too.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow import __version__
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.restriction import check_where
from afterglow.collection.types import Include, Restriction, Scope, Selection
from afterglow.filters.parse import parse_where
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.settings import Settings
from tests.benchmarks import corpus as corpora
from tests.benchmarks.corpus import Corpus
from tests.benchmarks.report import Circumstances
from tests.support.stores import new_collection, stores_at

RESULTS, WARM, WRITE_ROWS = 10, 20, 4_000
FIELDS = frozenset({Include.DOCUMENTS, Include.METADATAS})
WHERES: dict[str, dict[str, Any]] = {
    "section == games": {"section": "games"},
    "size > 100000": {"size": {"$gt": 100_000}},
    "section == python and size > 100000": {"$and": [{"section": "python"}, {"size": {"$gt": 100_000}}]},
    "size ≥ 0 (every record)": {"size": {"$gte": 0}},
}
HEADINGS = ("key's filter", "in the key", "in `where`", "ratio")

Read = Callable[[Scope, Selection, NDArray[np.float32]], object]
"""A read of a scope with a selection; the vector is for queries."""


def measure(corpus: Corpus, number: int, folder: Path) -> list[str]:
    """The lines of the table: medians of `number` reads of each kind."""
    stores = stores_at(folder, Settings())
    scope = new_collection(stores)[0]
    engine = Engine(stores)
    for start in range(0, len(corpus), WRITE_ROWS):
        rows = slice(start, start + WRITE_ROWS)
        documents, metadatas = corpus.documents[rows], corpus.metadatas[rows]
        vectors = corpus.embeddings[rows]
        engine.write(scope, Batch(Op.ADD, corpus.ids[rows], vectors, documents=documents, metadatas=metadatas))
    index(stores, Replica.for_indexer(stores, scope.collection), scope.collection, idle=True)

    def query(at: Scope, selection: Selection, vector: NDArray[np.float32]) -> object:
        return engine.query(at, vector[None], RESULTS, selection, FIELDS)[0].records.ids

    def get(at: Scope, selection: Selection, _: NDArray[np.float32]) -> object:
        return engine.get(at, selection, RESULTS, 0, FIELDS).ids

    reads: dict[str, Read] = {"query": query, "get": get}
    lines = [f"| {' | '.join(HEADINGS)} |", "|---|--:|--:|--:|"]
    for name, where in WHERES.items():
        restricted = replace(scope, restriction=Restriction({"*": check_where(orjson.dumps(where))}))
        kinds = ((restricted, Selection()), (scope, Selection(where=parse_where(where))))
        for title, read in reads.items():
            in_key, in_where = _turns(read, kinds, corpus.queries, number)
            figures = f"{in_key:.2f} ms | {in_where:.2f} ms | {in_key / in_where:.2f}"
            lines.append(f"| {title}, {name} | {figures} |")
    stores.table.close()
    return lines


def _turns(
    read: Read, kinds: tuple[tuple[Scope, Selection], ...], queries: NDArray[np.float32], number: int
) -> list[float]:
    """The median milliseconds of CPU of each kind."""
    taken: list[list[float]] = [[] for _ in kinds]
    for turn in range(-WARM, number):
        found = {}
        for kind in range(len(kinds)) if turn % 2 else reversed(range(len(kinds))):
            started = time.thread_time()
            found[kind] = read(*kinds[kind], queries[turn % len(queries)])
            taken[kind].extend([1000 * (time.thread_time() - started)] if turn >= 0 else [])
        if found[0] != found[1]:
            raise RuntimeError(f"the results differ: {found}")
    return [median(values) for values in taken]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.key_filters", description=__doc__)
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="as for make bench; else the shipped sample")
    parser.add_argument("--reads", type=int, default=300, help="of each kind")
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="write the table as markdown here")
    options = parser.parse_args()
    corpus = corpora.load(options.corpus, None)
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(corpus, options.reads, Path(folder))
    circumstances = Circumstances(corpus.name, len(corpus), f"afterglow {__version__}").line()
    table = "\n".join([*lines, "", circumstances, ""])
    print(table)
    if options.markdown:
        options.markdown.write_text(table)


if __name__ == "__main__":
    main()
