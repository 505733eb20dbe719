"""What a collection must hold after a client's operations: the sequential meaning of add, update, upsert and delete.

A `Book` is the state of one client's own records, in insertion order. Operations are plain data, so that a
programme can be printed and replayed.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DIMENSION = 8


@dataclass(frozen=True, slots=True)
class Record:
    """One record as get returns it; floats are float32 values."""

    embedding: tuple[float, ...]
    document: str | None
    metadata: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One request: `verb` is add, update, upsert or delete, `body` what is sent."""

    verb: str
    body: Mapping[str, Any]


Book = dict[str, Record]
"""A client's records by id, in insertion order."""


def applied(book: Book, operation: Operation) -> Book:
    """The book after the operation."""
    if operation.verb == "delete":
        return _deleted(book, operation.body)
    after = dict(book)
    body = operation.body
    for place, name in enumerate(body["ids"]):
        old = after.get(name)
        if (operation.verb == "add" and old is not None) or (operation.verb == "update" and old is None):
            continue
        embeddings, documents = body.get("embeddings"), body.get("documents")
        metadatas = body.get("metadatas")
        after[name] = Record(
            tuple(embeddings[place]) if embeddings else old.embedding if old else (),
            documents[place] if documents else old.document if old else None,
            _merged(old.metadata if old else None, metadatas[place] if metadatas else None),
        )
    return after


def _merged(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    merged = {**(old or {}), **(new or {})}
    return {key: value for key, value in merged.items() if value is not None} or None


def _deleted(book: Book, body: Mapping[str, Any]) -> Book:
    if "ids" in body:
        doomed = set(body["ids"])
        return {name: record for name, record in book.items() if name not in doomed}
    wanted = {key: value for condition in body["where"]["$and"] for key, value in condition.items()}
    return {
        name: record
        for name, record in book.items()
        if not all((record.metadata or {}).get(key) == value for key, value in wanted.items())
    }


@dataclass
class Programme:
    """The operations of one client, drawn from a seed: the same seed and acknowledgements give the same operations."""

    client: int
    seed: str
    bulk: int = 60
    book: Book = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._made = 0

    def next(self) -> Operation:
        """What this client does next, given what it has acknowledged."""
        draw = self._random.random()
        if draw < 0.35 or not self.book:
            return self._write("add", self._fresh(self._some()))
        if draw < 0.55:
            return self._write("upsert", self._known(self._some()) + self._fresh(self._some() // 2 + 1))
        if draw < 0.75:
            return self._write("update", self._known(self._some()))
        if draw < 0.88:
            return Operation("delete", {"ids": self._known(self._some())})
        where = [{"client": self.client}, {"bucket": self._random.randrange(6)}]
        return Operation("delete", {"where": {"$and": where}})

    def _some(self) -> int:
        """Mostly a few records, sometimes many, so that some batches are too large to be kept inline."""
        return self._random.choice((1, 1, 2, 3, 8, self.bulk))

    def _fresh(self, number: int) -> list[str]:
        self._made += number
        return [f"c{self.client}-{self.seed}-{each}" for each in range(self._made - number, self._made)]

    def _known(self, number: int) -> list[str]:
        return self._random.sample(list(self.book), min(number, len(self.book)))

    def _write(self, verb: str, ids: list[str]) -> Operation:
        body: dict[str, Any] = {"ids": ids, "metadatas": [self._metadata() for _ in ids]}
        if verb != "update" or self._random.random() < 0.5:
            body["embeddings"] = [self._embedding() for _ in ids]
        if self._random.random() < 0.6:
            body["documents"] = [f"{verb} {each} {self._random.random()}" for each in ids]
        return Operation(verb, body)

    def _metadata(self) -> dict[str, Any]:
        return {
            "client": self.client,
            "bucket": self._random.randrange(6),
            "token": f"{self._random.getrandbits(64):x}",
            "weight": self._random.randrange(1000) / 8,
            "tags": [self._random.choice("abc") for _ in range(self._random.randrange(1, 4))],
        }

    def _embedding(self) -> list[float]:
        """Sixteenths, so that float32 and JSON keep them exactly."""
        return [self._random.randrange(-64, 65) / 16 for _ in range(DIMENSION)]


def read_book(answer: Mapping[str, Any]) -> Book:
    """The book in an answer of get that includes embeddings, documents and metadatas."""
    rows = zip(answer["ids"], answer["embeddings"], answer["documents"], answer["metadatas"], strict=True)
    return {name: Record(tuple(embedding), document, metadata or None) for name, embedding, document, metadata in rows}


def difference(name: str, expected: Book, found: Book) -> str:
    """What differs between two books, in words; empty when nothing does, order included."""
    lines = [f"{name}: missing {each}" for each in expected if each not in found]
    lines += [f"{name}: should not be there {each}" for each in found if each not in expected]
    lines += [
        f"{name}: {each} is {found[each]}, should be {record}"
        for each, record in expected.items()
        if each in found and found[each] != record
    ]
    if not lines and list(expected) != list(found):
        lines.append(f"{name}: the order is {list(found)}, should be {list(expected)}")
    return "\n".join(lines[:12])
