"""Write benchmarks: ingest, update, delete where, deleting most of it."""

import time
from statistics import median

from tests.benchmarks.corpus import Corpus
from tests.benchmarks.http_client import HttpClientProcess
from tests.benchmarks.peers import Peer
from tests.benchmarks.targets import Samples
from tests.support.wire import build

BATCH = 1_000
UPDATES = 60


def ingest(peer: Peer, corpus: Corpus, samples: Samples) -> None:
    """All records through the stock client in batches of 1,000; rows a second until acknowledged, and until indexed."""
    collection = peer.stock()
    started = time.perf_counter()
    for start in range(0, len(corpus), BATCH):
        rows = slice(start, start + BATCH)
        collection.add(
            ids=corpus.ids[rows],
            embeddings=corpus.embeddings[rows],
            documents=corpus.documents[rows],
            metadatas=corpus.metadatas[rows],  # type: ignore[arg-type]
        )
    acknowledged = time.perf_counter() - started
    peer.wait_until_indexed()
    indexed = time.perf_counter() - started if peer.is_afterglow else acknowledged
    samples.add("ingest", peer.name, len(corpus) / acknowledged)
    samples.add("indexed", peer.name, len(corpus) / indexed)


def update(peer: Peer, corpus: Corpus, http: HttpClientProcess, samples: Samples, number: int) -> None:
    """One record a request gets another record's embedding and a new metadata value."""
    requests: list[bytes] = []
    for index in range(UPDATES):
        row = (number * UPDATES + index) * 37 % len(corpus)
        body = {
            "ids": [corpus.ids[row]],
            "embeddings": [corpus.embeddings[(row + 1 + number) % len(corpus)]],
            "metadatas": [{"depends": 1_000 + index}],
        }
        requests.append(build("POST", peer.path("update"), body))
    timed = http.in_order(peer.running.host, peer.running.port, requests[5:], requests[:5])
    samples.add("update", peer.name, 1000 * median(timed.seconds))


def delete_where(peer: Peer, section: str, http: HttpClientProcess, samples: Samples) -> None:
    """All records of one section, in one request."""
    request = build("POST", peer.path("delete"), {"where": {"section": section}})
    timed = http.in_order(peer.running.host, peer.running.port, [request])
    samples.add("delete", peer.name, 1000 * timed.elapsed)


def delete_most(peer: Peer, corpus: Corpus, http: HttpClientProcess) -> None:
    """Delete nine of ten records by id."""
    ids = [record_id for row, record_id in enumerate(corpus.ids) if row % 10]
    requests = [
        build("POST", peer.path("delete"), {"ids": ids[start : start + BATCH]}) for start in range(0, len(ids), BATCH)
    ]
    http.in_order(peer.running.host, peer.running.port, requests)
