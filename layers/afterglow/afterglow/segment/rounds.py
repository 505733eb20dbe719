"""Reads in rounds: several readers take their steps together, and each round is one set of parallel requests.

A reader is a generator. It yields the requests of its next step, gets the bytes of each back, and returns its result.
Readers that are run together share their rounds: as many as the longest of them has steps.
"""

from collections.abc import Generator, Sequence
from typing import TypeVar

from afterglow.storage.ports import Bytes, LazyFile, Objects, Ranges

Request = tuple[LazyFile, Ranges]
T = TypeVar("T")
Steps = Generator[Sequence[Request], list[Bytes], T]


def run_together(objects: Objects, readers: Sequence[Steps[T]]) -> list[T]:
    """The results of the readers, which take each step in one `Objects.need`."""
    results: dict[int, T] = {}
    answers: dict[int, list[Bytes] | None] = dict.fromkeys(range(len(readers)))
    while answers:
        requests: dict[int, Sequence[Request]] = {}
        for number, answer in answers.items():
            try:
                requests[number] = next(readers[number]) if answer is None else readers[number].send(answer)
            except StopIteration as stop:
                results[number] = stop.value
        together = [request for some in requests.values() for request in some]
        data = iter(objects.need(together) if together else ())
        answers = {number: [next(data) for _ in some] for number, some in requests.items()}
    return [results[number] for number in range(len(readers))]


def run(objects: Objects, reader: Steps[T]) -> T:
    """The result of one reader."""
    return run_together(objects, [reader])[0]
