"""A collection as a dict: the oracle of the tests of collection and jobs."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import orjson

from afterglow.collection.types import Include, Records
from afterglow.log.batch import Batch, Op

EVERYTHING = frozenset({Include.DOCUMENTS, Include.EMBEDDINGS, Include.METADATAS, Include.URIS})


@dataclass(frozen=True, slots=True)
class Record:
    """One record; no metadata at all is None."""

    vector: tuple[float, ...]
    document: str | None = None
    uri: str | None = None
    metadata: dict[str, Any] | None = None


@dataclass(slots=True)
class Model:
    """Records by id; a dict keeps the order of insertion."""

    records: dict[str, Record] = field(default_factory=dict)
    ops: int = 0

    def copy(self) -> "Model":
        return Model(dict(self.records), self.ops)

    def after(self, batch: Batch) -> "Model":
        """Another model, with the batch applied."""
        changed = self.copy()
        changed.apply(batch)
        return changed

    def apply(self, batch: Batch, is_gone: Callable[[Record], bool] = lambda _: False) -> None:
        """Apply a batch record by record; for an add or update what `is_gone` is not there."""
        self.ops += len(batch.ids)
        rows = range(len(batch.ids)) if batch.vector_rows is None else batch.vector_rows.tolist()
        vector_of = {} if batch.vectors is None else dict(zip(rows, batch.vectors.tolist(), strict=True))
        for at, name in enumerate(batch.ids):
            old = self.records.get(name)
            if batch.op is Op.DELETE:
                self.records.pop(name, None)
                continue
            if batch.op is Op.ADD and name in batch.ids[:at]:
                continue
            if old is not None and is_gone(old):
                old = None
                if batch.op is not Op.UPDATE:
                    del self.records[name]
            if (batch.op is Op.ADD and old is not None) or (batch.op is Op.UPDATE and old is None):
                continue
            document = batch.documents[at] if batch.documents else None
            uri = batch.uris[at] if batch.uris else None
            change = batch.metadatas[at] if batch.metadatas else None
            base = old or Record(())
            self.records[name] = replace(
                base,
                vector=tuple(vector_of[at]) if at in vector_of else base.vector,
                document=base.document if document is None else document,
                uri=base.uri if uri is None else uri,
                metadata=_merge_metadata(base.metadata, change),
            )

    def where(self, holds: Callable[[Record], bool]) -> list[str]:
        """The ids of the records that satisfy a condition, in insertion order."""
        return [name for name, record in self.records.items() if holds(record)]


def _merge_metadata(old: dict[str, Any] | None, change: Any) -> dict[str, Any] | None:
    merged = {**(old or {}), **(change or {})}
    return {key: value for key, value in merged.items() if value is not None} or None


def as_pairs(found: Records) -> list[tuple[str, Record]]:
    """The records of an answer that includes everything, in its order."""
    assert found.embeddings is not None
    assert found.documents is not None
    assert found.metadatas is not None
    assert found.uris is not None
    fields = zip(found.ids, found.embeddings, found.documents, found.uris, found.metadatas, strict=True)
    return [
        (name, Record(tuple(vector.tolist()), document, uri, None if metadata is None else orjson.loads(metadata)))
        for name, vector, document, uri, metadata in fields
    ]


def canonical(records: list[tuple[str, Record]]) -> str:
    """Records as text that tells 1 from 1.0 and from true, whatever the order of the keys in a metadata object."""
    return repr([(name, replace(item, metadata=None), sorted((item.metadata or {}).items())) for name, item in records])


def by_sparse_vector(
    model: Model, key: str, query: dict[int, float], allowed: list[str], *, bm25: bool
) -> list[tuple[str, float]]:
    """The allowed records that share a dimension with the query, each with its distance, nearest first."""
    vectors = {
        name: dict(zip(value["indices"], value["values"], strict=True))
        for name, record in model.records.items()
        if isinstance(value := (record.metadata or {}).get(key), dict)
    }
    weights = dict(query)
    for dimension in weights if bm25 else ():
        having = sum(dimension in item for item in vectors.values())
        weights[dimension] *= math.log((len(vectors) - having + 0.5) / (having + 0.5) + 1)
    found = []
    for name in model.records:
        if name in allowed and (shared := weights.keys() & vectors.get(name, {}).keys()):
            product = math.fsum(weights[item] * vectors[name][item] for item in shared)
            found.append((name, float(np.float32(1 - product))))
    return sorted(found, key=lambda item: item[1])
