"""Known items: how often the record that a query was taken from is found, by vectors, BM25 and both, and how fast.

It needs a corpus whose queries.jsonl names the `source` of each `text`. Records go in through the stock client, whose
BM25 embedding function makes the sparse vectors; searches are built by its expression classes, and sent bare.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import orjson

from tests.benchmarks import corpus as corpora
from tests.benchmarks import report
from tests.benchmarks.bare import Bare
from tests.benchmarks.contenders import Contender
from tests.benchmarks.corpus import Corpus
from tests.support.wire import build

KEY = "bm25"
CANDIDATES = 100
RESULTS = 10
BATCH = 1_000
WARM = 40
PER_ROUND = 200
MOST_TIMES = 3.0
"""The hybrid search must not take longer than so many dense queries."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to ask: the route, and the body for each question."""

    title: str
    route: str
    bodies: list[Any]


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one variant: the shares of questions whose source is first and among the first ten, the mean reciprocal rank
    of the source among the first ten, and milliseconds (median)."""

    first: float
    ten: float
    reciprocal: float
    milliseconds: float


def variants(vectors: np.ndarray[Any, Any], texts: list[str]) -> list[Variant]:
    """Every way to ask every question."""
    from chromadb.execution.expression import Knn, Rank, Rrf, Search
    from chromadb.utils.embedding_functions import ChromaBm25EmbeddingFunction

    sparse = ChromaBm25EmbeddingFunction()(texts)
    near = [Knn(query=each.tolist(), limit=CANDIDATES) for each in vectors]
    words = [Knn(query=each, key=KEY, limit=CANDIDATES) for each in sparse]
    placed: list[list[Rank]] = [
        [
            Knn(query=query, key=key, limit=CANDIDATES, return_rank=True, default=float(CANDIDATES))
            for query, key in ((vector.tolist(), "#embedding"), (each, KEY))
        ]
        for vector, each in zip(vectors, sparse, strict=True)
    ]

    def searches(ranks: list[Any]) -> list[Any]:
        found = (Search().rank(rank).limit(RESULTS).select("#score").to_dict() for rank in ranks)
        return [{"searches": [each]} for each in found]

    def fused(weights: list[float]) -> list[Any]:
        return searches([Rrf(each, weights=weights) for each in placed])

    return [
        Variant(
            "vectors, `query`",
            "query",
            [{"query_embeddings": [each.tolist()], "n_results": RESULTS, "include": ["distances"]} for each in vectors],
        ),
        Variant("vectors, `search`", "search", searches(near)),
        Variant("BM25", "search", searches(words)),
        Variant("both by RRF", "search", fused([1.0, 1.0])),
        Variant("both by RRF, weights 0.3 and 0.7", "search", fused([0.3, 0.7])),
    ]


def fill(contender: Contender, corpus: Corpus) -> None:
    """A collection with a sparse index that the stock client fills from the documents."""
    import chromadb
    from chromadb.api.types import Schema, SparseVectorIndexConfig
    from chromadb.utils.embedding_functions import ChromaBm25EmbeddingFunction

    schema = Schema()
    schema.create_index(
        key=KEY,
        config=SparseVectorIndexConfig(
            embedding_function=ChromaBm25EmbeddingFunction(), source_key="#document", bm25=True
        ),
    )
    client = chromadb.HttpClient(host=contender.running.host, port=contender.running.port)
    collection = client.create_collection("hybrid", schema=schema, embedding_function=None)
    contender.collection_id = str(collection.id)
    for start in range(0, len(corpus), BATCH):
        rows = slice(start, start + BATCH)
        collection.add(
            ids=corpus.ids[rows],
            embeddings=corpus.embeddings[rows],
            documents=corpus.documents[rows],
            metadatas=corpus.metadatas[rows],  # type: ignore[arg-type]
        )
    contender.settle()


def measure(contender: Contender, bare: Bare, asked: list[Variant], sources: list[str], rounds: int) -> list[Figures]:
    """Every question once for the shares; the times are medians of rounds in which the variants take turns."""
    host, port = contender.running.host, contender.running.port
    requests = [[build("POST", contender.path(each.route), body) for body in each.bodies] for each in asked]
    times: list[list[float]] = [[] for _ in asked]
    for number in range(rounds):
        for place, every in enumerate(requests):
            part = [every[(number * PER_ROUND + each) % len(every)] for each in range(PER_ROUND)]
            timed = bare.in_order(host, port, part, every[-WARM:])
            times[place].append(1000 * median(timed.seconds))
    figures = []
    for place, every in enumerate(requests):
        answers = [orjson.loads(body)["ids"][0] for body in bare.in_order(host, port, every).bodies]
        figures.append(_figures(answers, sources, median(times[place])))
    return figures


def _figures(answers: list[list[str]], sources: list[str], milliseconds: float) -> Figures:
    places = [
        answer.index(source) if source in answer else None for answer, source in zip(answers, sources, strict=True)
    ]
    ranks = [0.0 if each is None else 1 / (1 + each) for each in places]
    return Figures(
        first=float(np.mean([each == 0 for each in places])),
        ten=float(np.mean([each is not None for each in places])),
        reciprocal=float(np.mean(ranks)),
        milliseconds=milliseconds,
    )


def markdown(figures: Mapping[str, Figures], circumstances: report.Circumstances) -> str:
    """The table in markdown, with the line of circumstances below it."""
    lines = [
        "| search | first is the source | source among the first ten | mean reciprocal rank | p50 | of a dense query |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    base = next(iter(figures.values())).milliseconds
    for title, each in figures.items():
        shares = f"{each.first:.3f} | {each.ten:.3f} | {each.reciprocal:.3f}"
        lines.append(f"| {title} | {shares} | {each.milliseconds:.2f} ms | {each.milliseconds / base:.2f}× |")
    return "\n".join([*lines, "", circumstances.line(), ""])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hybrid", description=__doc__)
    given = os.environ.get("AFTERGLOW_BENCH_CORPUS")
    parser.add_argument("--corpus", type=Path, default=Path(given) if given else None, help="directory of a corpus")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that the medians are taken over")
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="write the table as markdown here")
    options = parser.parse_args()
    if options.corpus is None:
        raise SystemExit("a corpus is needed whose queries.jsonl names the source of each text: --corpus FOLDER")
    corpus = corpora.load(options.corpus, None)
    with (options.corpus / "queries.jsonl").open(encoding="utf-8") as lines:
        questions = [json.loads(line) for line in lines]
    asked = variants(corpus.queries, [each["text"] for each in questions])
    with tempfile.TemporaryDirectory(prefix="afterglow-bench-", ignore_cleanup_errors=True) as folder, Bare() as bare:
        contender = Contender("ours", Path(folder))
        contender.start()
        try:
            fill(contender, corpus)
            measured = measure(contender, bare, asked, [each["source"] for each in questions], options.rounds)
        finally:
            contender.stop()
    figures = {variant.title: each for variant, each in zip(asked, measured, strict=True)}
    circumstances = report.Circumstances(corpus.name, len(corpus), f"afterglow {version('afterglow')}")
    print(markdown(figures, circumstances))
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(markdown(figures, circumstances))
    dense, _, _, hybrid, _ = measured
    if hybrid.milliseconds > MOST_TIMES * dense.milliseconds:
        raise SystemExit(f"the hybrid search takes more than {MOST_TIMES:g} dense queries")


if __name__ == "__main__":
    main()
