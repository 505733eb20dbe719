"""Texts in, text out: how fast the server embeds, what that costs plain queries, and whether the vectors agree.

Needs the files of a model (`--model`, default the folder of Chroma's clients) and a corpus whose embeddings were made
by the same model. Everything goes through a server of its own, over one connection for each client. The share of true
neighbours compares texts, embedded by the server, with the corpus's own query vectors over the same records.
"""

import json
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import orjson
import psutil

from afterglow import __version__
from afterglow.settings import Settings
from tests.benchmarks import arguments, report
from tests.benchmarks import corpus as corpora
from tests.support.http import BareClient, request_bytes
from tests.support.server import HOST, Server, running

SEARCHED = 20_000
EMBEDDED = 2_000
BATCH = 250
EMBED_BATCH = 50
SHORT_CHARACTERS = 160
"""About 40 tokens."""
QUERIES = 300
DATABASE = "/api/v2/tenants/default_tenant/databases/default_database/collections"


class Api:
    """One connection to the server."""

    def __init__(self, port: int) -> None:
        self._client = BareClient(HOST, port)

    def call(self, path: str, body: dict[str, Any]) -> Any:
        """The answer's JSON."""
        return self._post(DATABASE + path, body)

    def embed(self, texts: list[str]) -> list[list[float]]:
        """Their vectors by the server's model."""
        parts = (texts[start : start + EMBED_BATCH] for start in range(0, len(texts), EMBED_BATCH))
        return [vector for part in parts for vector in self._post("/embed", {"inputs": part})]

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        response = self._client.call(request_bytes("POST", path, content))
        assert response.status in (200, 201), response.body
        return orjson.loads(response.body)

    def create(self, name: str) -> str:
        """The path of a new collection."""
        function = {"type": "known", "name": "default", "config": {}}
        body = {"name": name, "configuration": {"hnsw": {"space": "cosine"}, "embedding_function": function}}
        return f"/{self.call('', body)['id']}"

    def seconds(self, path: str, bodies: list[dict[str, Any]]) -> list[float]:
        """The time of each call."""
        times = []
        for body in bodies:
            start = time.perf_counter()
            self.call(path, body)
            times.append(time.perf_counter() - start)
        return times


def model_process(server: Server) -> psutil.Process:
    """The process of the model."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    return next(child for child in children if any("onnx_worker" in word for word in child.cmdline()))


def add(api: Api, path: str, ids: list[str], documents: list[str], embeddings: Any = None) -> None:
    """Add records in batches."""
    for start in range(0, len(ids), BATCH):
        part = slice(start, start + BATCH)
        body: dict[str, Any] = {"ids": ids[part], "documents": documents[part]}
        api.call(f"{path}/add", body if embeddings is None else body | {"embeddings": embeddings[part]})


def measure(server: Server, corpus: corpora.Corpus, texts: list[str]) -> list[tuple[str, str]]:
    """Figure and value, in order."""
    api = Api(server.port)
    searched = api.create("searched")
    add(api, searched, corpus.ids[:SEARCHED], corpus.documents[:SEARCHED], corpus.embeddings[:SEARCHED])
    vectors = [{"query_embeddings": [vector], "include": []} for vector in corpus.queries[:QUERIES]]
    words = [{"query_texts": [text], "include": []} for text in texts]
    api.seconds(f"{searched}/query", words[:20] + vectors[:20])
    by_text = api.seconds(f"{searched}/query", words[20:QUERIES])
    quiet = api.seconds(f"{searched}/query", vectors)

    records = corpus.embeddings[:SEARCHED].T
    shares = []
    for scores, expected in zip(np.array(api.embed(texts)) @ records, corpus.queries[:QUERIES] @ records, strict=True):
        found = np.argpartition(-scores, 10)[:10]
        shares.append(np.mean(expected[found] >= np.partition(expected, -10)[-10] - 1e-4))

    short = [document[:SHORT_CHARACTERS] for document in corpus.documents[:EMBEDDED]]
    process = model_process(server)
    before, start = process.cpu_times(), time.perf_counter()
    add(api, api.create("short"), corpus.ids[:EMBEDDED], short)
    wall, after = time.perf_counter() - start, process.cpu_times()
    cpu = after.user + after.system - before.user - before.system

    done = threading.Event()

    def embed_until_done() -> None:
        other, path = Api(server.port), api.create("load")
        for number, at in enumerate(range(0, len(corpus), BATCH)):
            if done.is_set():
                return
            ids = [f"{number}-{name}" for name in corpus.ids[at : at + BATCH]]
            other.call(f"{path}/add", {"ids": ids, "documents": corpus.documents[at : at + BATCH]})

    load = threading.Thread(target=embed_until_done)
    load.start()
    time.sleep(2)
    busy = api.seconds(f"{searched}/query", vectors * 3)
    busy_text = api.seconds(f"{searched}/query", [{"query_texts": [f"{text}!"], "include": []} for text in texts[:100]])
    done.set()
    load.join()
    return [
        (
            "documents of 160 characters embedded, one thread",
            f"{EMBEDDED / wall:.0f}/s ({1000 * cpu / EMBEDDED:.1f} ms of CPU a text)",
        ),
        ("query by text, p50", _milliseconds(by_text)),
        ("query by vector, p50", _milliseconds(quiet)),
        ("the same while documents are embedded", f"{_milliseconds(busy)} ({median(busy) / median(quiet):.2f}×)"),
        (
            "query by text while documents are embedded, p50; p95",
            f"{_milliseconds(busy_text)}; {1000 * quantiles(busy_text, n=20)[-1]:.1f} ms",
        ),
        ("ten exact nearest of a text among those of the corpus's vector", f"{np.mean(shares):.4f}"),
        ("memory of the model's process", f"{process.memory_info().rss / 1e6:.0f} MB"),
    ]


def _milliseconds(seconds: list[float]) -> str:
    return f"{1000 * median(seconds):.1f} ms"


def main() -> None:
    """Print the table, and write it if asked."""
    parser = arguments.bench_parser("tests.benchmarks.texts", __doc__)
    arguments.add_corpus(parser)
    parser.add_argument("--model", default=Settings().embedding_model_dir, help="folder of the model")
    options = parser.parse_args()
    corpus = corpora.load(options.corpus, None)
    lines = (options.corpus / "queries.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in lines[:QUERIES]]
    environment = {"AFTERGLOW_EMBEDDING_MODEL_DIR": str(options.model)}
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), env=environment) as server:
        figures = measure(server, corpus, texts)
    rows = "\n".join(f"| {name} | {value} |" for name, value in figures)
    note = report.Circumstances(corpus.name, SEARCHED, f"afterglow {__version__}").line()
    table = f"| texts | |\n|---|--:|\n{rows}\n\n{note}\n"
    print(table)
    arguments.write_table(options.markdown, table)


if __name__ == "__main__":
    main()
