"""The model: the sequential meaning of add, update, upsert and delete.

A `RecordMap` holds one client's own records in insertion order. Operations are plain data, so that a scenario can be
printed and replayed.
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


RecordMap = dict[str, Record]
"""A client's records by id, in insertion order."""


def apply_operation(records: RecordMap, operation: Operation) -> RecordMap:
    """The records after the operation."""
    if operation.verb == "delete":
        return _apply_delete(records, operation.body)
    after = dict(records)
    body = operation.body
    for index, name in enumerate(body["ids"]):
        old = after.get(name)
        if (operation.verb == "add" and old is not None) or (operation.verb == "update" and old is None):
            continue
        embeddings, documents = body.get("embeddings"), body.get("documents")
        metadatas = body.get("metadatas")
        after[name] = Record(
            tuple(embeddings[index]) if embeddings else old.embedding if old else (),
            documents[index] if documents else old.document if old else None,
            _merge_metadata(old.metadata if old else None, metadatas[index] if metadatas else None),
        )
    return after


def _merge_metadata(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    merged = {**(old or {}), **(new or {})}
    return {key: value for key, value in merged.items() if value is not None} or None


def _apply_delete(records: RecordMap, body: Mapping[str, Any]) -> RecordMap:
    if "ids" in body:
        ids = set(body["ids"])
        return {name: record for name, record in records.items() if name not in ids}
    required = {key: value for condition in body["where"]["$and"] for key, value in condition.items()}
    return {
        name: record
        for name, record in records.items()
        if not all((record.metadata or {}).get(key) == value for key, value in required.items())
    }


@dataclass
class Scenario:
    """The operations of one client, generated from a seed; deterministic for the same seed and acknowledgements."""

    client: int
    seed: str
    bulk: int = 60
    records: RecordMap = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._created = 0

    def next(self) -> Operation:
        """The next operation of this client, given its acknowledged operations."""
        draw = self._random.random()
        if draw < 0.35 or not self.records:
            return self._write("add", self._new_ids(self._count()))
        if draw < 0.55:
            return self._write("upsert", self._existing_ids(self._count()) + self._new_ids(self._count() // 2 + 1))
        if draw < 0.75:
            return self._write("update", self._existing_ids(self._count()))
        if draw < 0.88:
            return Operation("delete", {"ids": self._existing_ids(self._count())})
        where = [{"client": self.client}, {"bucket": self._random.randrange(6)}]
        return Operation("delete", {"where": {"$and": where}})

    def _count(self) -> int:
        """Mostly a few records, sometimes many, so that some batches are too large for an inline log entry."""
        return self._random.choice((1, 1, 2, 3, 8, self.bulk))

    def _new_ids(self, number: int) -> list[str]:
        self._created += number
        return [f"c{self.client}-{self.seed}-{sequence}" for sequence in range(self._created - number, self._created)]

    def _existing_ids(self, number: int) -> list[str]:
        return self._random.sample(list(self.records), min(number, len(self.records)))

    def _write(self, verb: str, ids: list[str]) -> Operation:
        body: dict[str, Any] = {"ids": ids, "metadatas": [self._metadata() for _ in ids]}
        if verb != "update" or self._random.random() < 0.5:
            body["embeddings"] = [self._embedding() for _ in ids]
        if self._random.random() < 0.6:
            body["documents"] = [f"{verb} {name} {self._random.random()}" for name in ids]
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


def parse_records(response: Mapping[str, Any]) -> RecordMap:
    """The records in a get response that includes embeddings, documents and metadatas."""
    rows = zip(response["ids"], response["embeddings"], response["documents"], response["metadatas"], strict=True)
    return {name: Record(tuple(embedding), document, metadata or None) for name, embedding, document, metadata in rows}


def difference(name: str, expected: RecordMap, actual: RecordMap) -> str:
    """A description of the differences between two record maps, order included; empty if they are equal."""
    lines = [f"{name}: missing {key}" for key in expected if key not in actual]
    lines += [f"{name}: should not be there {key}" for key in actual if key not in expected]
    lines += [
        f"{name}: {key} is {actual[key]}, should be {record}"
        for key, record in expected.items()
        if key in actual and actual[key] != record
    ]
    if not lines and list(expected) != list(actual):
        lines.append(f"{name}: the order is {list(actual)}, should be {list(expected)}")
    return "\n".join(lines[:12])
