"""Read benchmarks: queries over raw HTTP and through the stock client, filters, `$contains`, throughput."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from tests.benchmarks.corpus import Corpus
from tests.benchmarks.ground_truth import GroundTruth, needles
from tests.benchmarks.http_client import HttpClientProcess
from tests.benchmarks.peers import Peer
from tests.benchmarks.targets import Samples
from tests.support.wire import build

WARM = 40
"""Untimed requests before the timed ones."""
PER_ROUND = 200
FILTERED_PER_ROUND = 60
NEEDLES = 24


@dataclass(frozen=True, slots=True)
class Question:
    """A query row, its filter, and a mask of the rows that pass it."""

    query: int
    filters: Mapping[str, Any]
    mask: NDArray[np.bool_] | None


class Readers:
    """The read benchmarks of one run. No query embedding repeats in a round."""

    def __init__(self, corpus: Corpus, ground_truth: GroundTruth, http: HttpClientProcess, samples: Samples) -> None:
        self._corpus, self._ground_truth, self._http, self._samples = corpus, ground_truth, http, samples
        self._section = corpus.column("section")
        self._size = corpus.column("size")
        self._needles = [(needle, self._documents_with(needle)) for needle in needles(corpus, NEEDLES)]

    def _documents_with(self, needle: str) -> NDArray[np.bool_]:
        return np.array([needle in document for document in self._corpus.documents])

    def _rows(self, round_number: int, number: int) -> Iterator[int]:
        total = len(self._corpus.queries)
        return (query % total for query in range(round_number * number, (round_number + 1) * number))

    def _request(self, peer: Peer, question: Question) -> bytes:
        body = {"query_embeddings": [self._corpus.queries[question.query]], "n_results": 10, **question.filters}
        return build("POST", peer.path("query"), body)

    def _measure(self, key: str, peer: Peer, questions: Sequence[Question], warm: Sequence[Question]) -> None:
        timed = self._http.in_order(
            peer.running.host,
            peer.running.port,
            [self._request(peer, question) for question in questions],
            [self._request(peer, question) for question in warm],
        )
        results = [orjson.loads(body)["ids"][0] for body in timed.bodies]
        recall = self._ground_truth.recall(
            [question.query for question in questions], results, [question.mask for question in questions]
        )
        self._samples.add(key, peer.name, 1000 * median(timed.seconds), recall)

    def _filtered(self, key: str, peer: Peer, number: int, make: Callable[[int, int], Question]) -> None:
        rows = list(self._rows(number, FILTERED_PER_ROUND))
        questions = [make(query, index) for index, query in enumerate(rows)]
        warm = [make(len(self._corpus.queries) - 1 - index, 500 + index) for index in range(5)]
        self._measure(key, peer, questions, warm)

    def query(self, peer: Peer, number: int) -> None:
        """Nearest ten, unfiltered, http."""
        last = len(self._corpus.queries) - 1
        warm = [Question(last - index, {}, None) for index in range(WARM)]
        questions = [Question(query, {}, None) for query in self._rows(number, PER_ROUND)]
        self._measure("query", peer, questions, warm)

    def stock(self, peer: Peer, number: int) -> None:
        """Nearest ten, unfiltered, through the stock client."""
        collection = peer.stock()
        last = len(self._corpus.queries) - 1
        seconds: list[float] = []
        results: list[list[str]] = []
        rows = list(self._rows(number, PER_ROUND))
        for index, query in enumerate([last - number for number in range(WARM)] + rows):
            embedding = self._corpus.queries[query]
            started = time.perf_counter()
            result = collection.query(query_embeddings=[embedding], n_results=10)
            elapsed = time.perf_counter() - started
            if index >= WARM:
                seconds.append(elapsed)
                results.append(result["ids"][0])
        recall = self._ground_truth.recall(rows, results, [None] * len(rows))
        self._samples.add("stock", peer.name, 1000 * median(seconds), recall)

    def throughput(self, key: str, peer: Peer, number: int) -> None:
        """Queries a second from four client threads, http."""
        rows = [(query + 7 * number) % len(self._corpus.queries) for query in range(len(self._corpus.queries))]
        requests = [self._request(peer, Question(row, {}, None)) for row in rows]
        running = peer.running
        rate = self._http.concurrently(running.host, running.port, requests, requests[: 5 * WARM], 4)
        self._samples.add(key, peer.name, rate)

    def filters(self, peer: Peer, number: int) -> None:
        """The three metadata filters; the threshold moves by a few bytes so that no two requests are the same."""
        games = self._section == "games"
        python = self._section == "python"

        def equal(query: int, _: int) -> Question:
            return Question(query, {"where": {"section": "games"}}, games)

        def above(query: int, index: int) -> Question:
            limit = 100_000 + index
            return Question(query, {"where": {"size": {"$gt": limit}}}, self._size > limit)

        def both(query: int, index: int) -> Question:
            limit = 100_000 + index
            where = {"$and": [{"section": "python"}, {"size": {"$gt": limit}}]}
            return Question(query, {"where": where}, python & (self._size > limit))

        self._filtered("equal", peer, number, equal)
        self._filtered("range", peer, number, above)
        self._filtered("and", peer, number, both)

    def contains(self, peer: Peer, number: int) -> None:
        """Nearest ten among the documents that contain a word, over words from rare to common."""

        def containing(query: int, index: int) -> Question:
            needle, mask = self._needles[index % len(self._needles)]
            return Question(query, {"where_document": {"$contains": needle}}, mask)

        self._filtered("contains", peer, number, containing)
