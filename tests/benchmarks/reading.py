"""Measures that change nothing: queries bare and through the stock client, filters, `$contains`, throughput."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from tests.benchmarks.bare import Bare
from tests.benchmarks.contenders import Contender
from tests.benchmarks.corpus import Corpus
from tests.benchmarks.targets import Samples
from tests.benchmarks.truth import Judge, needles
from tests.support.wire import build

WARM = 40
"""Untimed requests before each timed stretch."""
PER_ROUND = 200
FILTERED_PER_ROUND = 60
NEEDLES = 24


@dataclass(frozen=True, slots=True)
class Question:
    """A query row, what it is filtered by, and the rows that the filter allows."""

    query: int
    filters: Mapping[str, Any]
    mask: NDArray[np.bool_] | None


class Readers:
    """The reading measures of one run. No query embedding repeats in a round."""

    def __init__(self, corpus: Corpus, judge: Judge, bare: Bare, samples: Samples) -> None:
        self._corpus, self._judge, self._bare, self._samples = corpus, judge, bare, samples
        self._section = corpus.column("section")
        self._size = corpus.column("size")
        self._needles = [(each, self._holding(each)) for each in needles(corpus, NEEDLES)]

    def _holding(self, needle: str) -> NDArray[np.bool_]:
        return np.array([needle in each for each in self._corpus.documents])

    def _rows(self, round_number: int, number: int) -> Iterator[int]:
        total = len(self._corpus.queries)
        return (each % total for each in range(round_number * number, (round_number + 1) * number))

    def _request(self, contender: Contender, question: Question) -> bytes:
        body = {"query_embeddings": [self._corpus.queries[question.query]], "n_results": 10, **question.filters}
        return build("POST", contender.path("query"), body)

    def _measure(self, key: str, contender: Contender, questions: Sequence[Question], warm: Sequence[Question]) -> None:
        timed = self._bare.in_order(
            contender.running.host,
            contender.running.port,
            [self._request(contender, each) for each in questions],
            [self._request(contender, each) for each in warm],
        )
        answers = [orjson.loads(body)["ids"][0] for body in timed.bodies]
        recall = self._judge.recall([each.query for each in questions], answers, [each.mask for each in questions])
        self._samples.add(key, contender.name, 1000 * median(timed.seconds), recall)

    def _filtered(self, key: str, contender: Contender, number: int, make: Callable[[int, int], Question]) -> None:
        rows = list(self._rows(number, FILTERED_PER_ROUND))
        questions = [make(query, place) for place, query in enumerate(rows)]
        warm = [make(len(self._corpus.queries) - 1 - place, 500 + place) for place in range(5)]
        self._measure(key, contender, questions, warm)

    def query(self, contender: Contender, number: int) -> None:
        """Nearest ten, unfiltered, bare."""
        last = len(self._corpus.queries) - 1
        warm = [Question(last - place, {}, None) for place in range(WARM)]
        questions = [Question(query, {}, None) for query in self._rows(number, PER_ROUND)]
        self._measure("query", contender, questions, warm)

    def stock(self, contender: Contender, number: int) -> None:
        """Nearest ten, unfiltered, through the stock client."""
        collection = contender.stock()
        last = len(self._corpus.queries) - 1
        seconds: list[float] = []
        answers: list[list[str]] = []
        rows = list(self._rows(number, PER_ROUND))
        for place, query in enumerate([last - each for each in range(WARM)] + rows):
            embedding = self._corpus.queries[query]
            began = time.perf_counter()
            answer = collection.query(query_embeddings=[embedding], n_results=10)
            took = time.perf_counter() - began
            if place >= WARM:
                seconds.append(took)
                answers.append(answer["ids"][0])
        recall = self._judge.recall(rows, answers, [None] * len(rows))
        self._samples.add("stock", contender.name, 1000 * median(seconds), recall)

    def throughput(self, key: str, contender: Contender, number: int) -> None:
        """Queries a second from four client threads, bare."""
        rows = [(each + 7 * number) % len(self._corpus.queries) for each in range(len(self._corpus.queries))]
        requests = [self._request(contender, Question(each, {}, None)) for each in rows]
        running = contender.running
        rate = self._bare.together(running.host, running.port, requests, requests[: 5 * WARM], 4)
        self._samples.add(key, contender.name, rate)

    def filters(self, contender: Contender, number: int) -> None:
        """The three metadata filters; the threshold moves by a few bytes so that no two requests are the same."""
        games = self._section == "games"
        python = self._section == "python"

        def equal(query: int, _: int) -> Question:
            return Question(query, {"where": {"section": "games"}}, games)

        def above(query: int, place: int) -> Question:
            limit = 100_000 + place
            return Question(query, {"where": {"size": {"$gt": limit}}}, self._size > limit)

        def both(query: int, place: int) -> Question:
            limit = 100_000 + place
            where = {"$and": [{"section": "python"}, {"size": {"$gt": limit}}]}
            return Question(query, {"where": where}, python & (self._size > limit))

        self._filtered("equal", contender, number, equal)
        self._filtered("range", contender, number, above)
        self._filtered("and", contender, number, both)

    def contains(self, contender: Contender, number: int) -> None:
        """Nearest ten among the documents that contain a word, over words from rare to common."""

        def holding(query: int, place: int) -> Question:
            needle, mask = self._needles[place % len(self._needles)]
            return Question(query, {"where_document": {"$contains": needle}}, mask)

        self._filtered("contains", contender, number, holding)
