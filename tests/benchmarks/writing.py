"""Measures that change the collection: ingest, update, delete where, deleting most of it."""

import time
from statistics import median

from tests.benchmarks.bare import Bare
from tests.benchmarks.contenders import Contender
from tests.benchmarks.corpus import Corpus
from tests.benchmarks.targets import Samples
from tests.support.wire import build

BATCH = 1_000
UPDATES = 60


def ingest(contender: Contender, corpus: Corpus, samples: Samples) -> None:
    """All records through the stock client in batches of 1,000; rows a second until acknowledged, and until indexed."""
    collection = contender.stock()
    began = time.perf_counter()
    for start in range(0, len(corpus), BATCH):
        rows = slice(start, start + BATCH)
        collection.add(
            ids=corpus.ids[rows],
            embeddings=corpus.embeddings[rows],
            documents=corpus.documents[rows],
            metadatas=corpus.metadatas[rows],  # type: ignore[arg-type]
        )
    acknowledged = time.perf_counter() - began
    contender.wait_until_indexed()
    indexed = time.perf_counter() - began if contender.ours else acknowledged
    samples.add("ingest", contender.name, len(corpus) / acknowledged)
    samples.add("indexed", contender.name, len(corpus) / indexed)


def update(contender: Contender, corpus: Corpus, bare: Bare, samples: Samples, number: int) -> None:
    """One record a request gets another record's embedding and a new metadata value."""
    requests: list[bytes] = []
    for place in range(UPDATES):
        row = (number * UPDATES + place) * 37 % len(corpus)
        body = {
            "ids": [corpus.ids[row]],
            "embeddings": [corpus.embeddings[(row + 1 + number) % len(corpus)]],
            "metadatas": [{"depends": 1_000 + place}],
        }
        requests.append(build("POST", contender.path("update"), body))
    timed = bare.in_order(contender.running.host, contender.running.port, requests[5:], requests[:5])
    samples.add("update", contender.name, 1000 * median(timed.seconds))


def delete_where(contender: Contender, section: str, bare: Bare, samples: Samples) -> None:
    """All records of one section, in one request."""
    request = build("POST", contender.path("delete"), {"where": {"section": section}})
    timed = bare.in_order(contender.running.host, contender.running.port, [request])
    samples.add("delete", contender.name, 1000 * timed.elapsed)


def delete_most(contender: Contender, corpus: Corpus, bare: Bare) -> None:
    """Nine of ten records, by id."""
    doomed = [each for row, each in enumerate(corpus.ids) if row % 10]
    requests = [
        build("POST", contender.path("delete"), {"ids": doomed[start : start + BATCH]})
        for start in range(0, len(doomed), BATCH)
    ]
    bare.in_order(contender.running.host, contender.running.port, requests)
