"""Known-item search: how often and how fast vectors, BM25 and both find the record that a query was taken from.

It needs a corpus whose queries.jsonl names the `source` of each `text`. Records go in through the stock client, whose
BM25 embedding function makes the sparse vectors; searches are built by its expression classes, and sent http.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import orjson

from afterglow import __version__
from tests.benchmarks import arguments, report, text_quality
from tests.benchmarks import corpus as corpora
from tests.benchmarks.corpus import Corpus
from tests.benchmarks.http_client import HttpClientProcess
from tests.benchmarks.peers import Peer
from tests.support.wire import build

KEY = "bm25"
CANDIDATES = 100
RESULTS = 10
BATCH = 1_000
WARM = 40
PER_ROUND = 200
MAX_RATIO = 3.0
"""Upper bound of hybrid search time, in dense queries."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One kind of search: route, and one body per question."""

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
    """All kinds of search for all questions."""
    from chromadb.execution.expression import Knn, Rank, Rrf, Search
    from chromadb.utils.embedding_functions import ChromaBm25EmbeddingFunction

    sparse = ChromaBm25EmbeddingFunction()(texts)
    near = [Knn(query=vector.tolist(), limit=CANDIDATES) for vector in vectors]
    words = [Knn(query=terms, key=KEY, limit=CANDIDATES) for terms in sparse]
    ranked: list[list[Rank]] = [
        [
            Knn(query=query, key=key, limit=CANDIDATES, return_rank=True, default=float(CANDIDATES))
            for query, key in ((vector.tolist(), "#embedding"), (terms, KEY))
        ]
        for vector, terms in zip(vectors, sparse, strict=True)
    ]

    def searches(ranks: list[Any]) -> list[Any]:
        requests = (Search().rank(rank).limit(RESULTS).select("#score").to_dict() for rank in ranks)
        return [{"searches": [request]} for request in requests]

    def fused(weights: list[float]) -> list[Any]:
        return searches([Rrf(pair, weights=weights) for pair in ranked])

    return [
        Variant(
            "vectors, `query`",
            "query",
            [
                {"query_embeddings": [vector.tolist()], "n_results": RESULTS, "include": ["distances"]}
                for vector in vectors
            ],
        ),
        Variant("vectors, `search`", "search", searches(near)),
        Variant("BM25", "search", searches(words)),
        Variant("both by RRF", "search", fused([1.0, 1.0])),
        Variant("both by RRF, weights 0.3 and 0.7", "search", fused([0.3, 0.7])),
    ]


def fill(peer: Peer, corpus: Corpus) -> None:
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
    client = chromadb.HttpClient(host=peer.running.host, port=peer.running.port)
    collection = client.create_collection("hybrid", schema=schema, embedding_function=None)
    peer.collection_id = str(collection.id)
    for start in range(0, len(corpus), BATCH):
        rows = slice(start, start + BATCH)
        collection.add(
            ids=corpus.ids[rows],
            embeddings=corpus.embeddings[rows],
            documents=corpus.documents[rows],
            metadatas=corpus.metadatas[rows],  # type: ignore[arg-type]
        )
    peer.settle()


def measure(
    peer: Peer, http: HttpClientProcess, variants: list[Variant], sources: list[str], rounds: int
) -> list[Figures]:
    """Every question once for the shares; the times are medians of rounds in which the variants take turns."""
    host, port = peer.running.host, peer.running.port
    requests = [[build("POST", peer.path(variant.route), body) for body in variant.bodies] for variant in variants]
    times: list[list[float]] = [[] for _ in variants]
    for number in range(rounds):
        for index, bodies in enumerate(requests):
            batch = [bodies[(number * PER_ROUND + offset) % len(bodies)] for offset in range(PER_ROUND)]
            timed = http.in_order(host, port, batch, bodies[-WARM:])
            times[index].append(1000 * median(timed.seconds))
    figures = []
    for index, bodies in enumerate(requests):
        results = [orjson.loads(body)["ids"][0] for body in http.in_order(host, port, bodies).bodies]
        figures.append(_figures(results, sources, median(times[index])))
    return figures


def _figures(results: list[list[str]], sources: list[str], milliseconds: float) -> Figures:
    positions = [
        result.index(source) if source in result else None for result, source in zip(results, sources, strict=True)
    ]
    ranks = [0.0 if position is None else 1 / (1 + position) for position in positions]
    return Figures(
        first=float(np.mean([position == 0 for position in positions])),
        ten=float(np.mean([position is not None for position in positions])),
        reciprocal=float(np.mean(ranks)),
        milliseconds=milliseconds,
    )


def markdown(figures: Mapping[str, Figures], circumstances: report.Circumstances) -> str:
    """The table in markdown, with the line of circumstances below it."""
    lines = [
        "| search | source first | source in top ten | mean reciprocal rank | p50 | relative to a dense query |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    base = next(iter(figures.values())).milliseconds
    for title, figure in figures.items():
        shares = f"{figure.first:.3f} | {figure.ten:.3f} | {figure.reciprocal:.3f}"
        lines.append(f"| {title} | {shares} | {figure.milliseconds:.2f} ms | {figure.milliseconds / base:.2f}× |")
    return "\n".join([*lines, "", circumstances.line(), ""])


def _output(table: str, path: Path | None) -> None:
    print(table)
    arguments.write_table(path, table)


def main() -> None:
    """Measure and print."""
    parser = arguments.bench_parser("tests.benchmarks.search_quality", __doc__)
    arguments.add_corpus(parser)
    arguments.add_rounds(parser, 5)
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="search from plain text by this model instead")
    parser.add_argument("--records", type=int, default=20_000, help="records of a search from plain text")
    parser.add_argument("--questions", type=int, default=1_000, help="questions of a search from plain text")
    options = parser.parse_args()
    if options.corpus is None:
        raise SystemExit("a corpus is needed whose queries.jsonl names the source of each text: --corpus FOLDER")
    corpus = corpora.load(options.corpus, None)
    with (options.corpus / "queries.jsonl").open(encoding="utf-8") as lines:
        questions = [json.loads(line) for line in lines]
    if options.model is not None:
        questions = questions[: options.questions]
        _output(text_quality.run(corpus, questions, options.records, options.model), options.markdown)
        return
    measured_variants = variants(corpus.queries, [question["text"] for question in questions])
    with (
        tempfile.TemporaryDirectory(prefix="afterglow-bench-", ignore_cleanup_errors=True) as folder,
        HttpClientProcess() as http,
    ):
        peer = Peer("afterglow", Path(folder))
        peer.start()
        try:
            fill(peer, corpus)
            measured = measure(
                peer, http, measured_variants, [question["source"] for question in questions], options.rounds
            )
        finally:
            peer.stop()
    figures = {variant.title: figure for variant, figure in zip(measured_variants, measured, strict=True)}
    circumstances = report.Circumstances(corpus.name, len(corpus), f"afterglow {__version__}")
    _output(markdown(figures, circumstances), options.markdown)
    dense, _, _, hybrid, _ = measured
    if hybrid.milliseconds > MAX_RATIO * dense.milliseconds:
        raise SystemExit(f"the hybrid search takes more than {MAX_RATIO:g} dense queries")


if __name__ == "__main__":
    main()
