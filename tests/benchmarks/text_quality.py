"""Known-item search from plain text alone: the server makes the vectors of documents and queries, dense and sparse.

No client-side function takes part: documents go in without embeddings, and the queries of vectors, BM25 and both are
one text each. As each question has one right answer, nDCG@10 is the mean of 1 / log2(1 + its rank), 0 below the tenth.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from afterglow import __version__
from tests.benchmarks import report
from tests.benchmarks.corpus import Corpus
from tests.benchmarks.texts import Api
from tests.support.server import running

WORDS = "words"
CANDIDATES = 100
RESULTS = 10
BATCH = 100
SMOOTHING = 60
_FUNCTIONS = ("default", "chroma_bm25")


def run(corpus: Corpus, questions: Sequence[dict[str, str]], records: int, model: Path) -> str:
    """The table in markdown, over the packages that the questions are about and others, `records` in all."""
    rows = chosen_rows(corpus, questions, records)
    environment = {"AFTERGLOW_EMBEDDING_MODEL_DIR": str(model)}
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), env=environment) as server:
        api = Api(server.port)
        path = f"/{api.call('', {'name': 'texts', 'schema': schema()})['id']}"
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            body = {"ids": [corpus.ids[row] for row in part], "documents": [corpus.documents[row] for row in part]}
            api.call(f"{path}/add", body)
        found = [api.call(f"{path}/search", {"searches": searches(question["text"])})["ids"] for question in questions]
    lines = ["| search by text | nDCG@10 | source in top ten |", "|---|--:|--:|"]
    for number, title in enumerate(("vectors", "BM25", "both by RRF")):
        gains = [gain(results[number], question["source"]) for results, question in zip(found, questions, strict=True)]
        lines.append(f"| {title} | {np.mean(gains):.3f} | {np.mean(np.array(gains) > 0):.3f} |")
    circumstances = report.Circumstances(corpus.name, len(rows), f"afterglow {__version__}").line()
    return "\n".join([*lines, "", f"{len(questions):,} questions; {circumstances}", ""])


def chosen_rows(corpus: Corpus, questions: Sequence[dict[str, str]], records: int) -> list[int]:
    """The rows of the sources, and evenly spaced others."""
    rows = {corpus.row_of[question["source"]] for question in questions}
    others = [row for row in range(len(corpus)) if row not in rows]
    number = max(0, min(records - len(rows), len(others)))
    return sorted(rows | {others[index * len(others) // number] for index in range(number)})


def schema() -> dict[str, Any]:
    """Vectors by the model, and a BM25 index of the documents."""
    dense, sparse = ({"type": "known", "name": name, "config": {}} for name in _FUNCTIONS)
    vector_index = {"enabled": True, "config": {"space": "cosine", "embedding_function": dense}}
    sparse_index = {
        "enabled": True,
        "config": {"source_key": "#document", "bm25": True, "embedding_function": sparse},
    }
    return {
        "defaults": {},
        "keys": {
            "#embedding": {"float_list": {"vector_index": vector_index}},
            WORDS: {"sparse_vector": {"sparse_vector_index": sparse_index}},
        },
    }


def searches(text: str) -> list[dict[str, Any]]:
    """By vectors, by BM25, and by the reciprocal ranks of both."""
    near: dict[str, Any] = {"query": text, "limit": CANDIDATES}
    words = {**near, "key": WORDS}
    ranks = [
        {"$div": {"left": {"$val": 1}, "right": {"$sum": [{"$val": SMOOTHING}, {"$knn": ranked}]}}}
        for ranked in ({**knn, "return_rank": True, "default": float(CANDIDATES)} for knn in (near, words))
    ]
    both = {"$mul": [{"$val": -1}, {"$sum": ranks}]}
    limit = {"limit": RESULTS}
    return [{"rank": rank, "limit": limit} for rank in ({"$knn": near}, {"$knn": words}, both)]


def gain(results: Sequence[str], source: str) -> float:
    """1 / log2(1 + rank) of the source, 0 if it is not there."""
    return 1 / float(np.log2(2 + results.index(source))) if source in results else 0.0
