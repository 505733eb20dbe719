"""A collection that is moved to another embedding function, and an embedder whose vectors are known."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
import xxhash

from afterglow.bulk.reembed.run import ReembedReport, ReembedRequest, reembed
from afterglow.collection import Batch, Engine, Op
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, Scope, Selection
from afterglow.embedding.embedder import Embedded, Purpose
from afterglow.jobs.indexer import index
from afterglow.storage.ports import Stores
from tests.support.stores import SMALL, new_collection, quick_folder, stores_at

TENANT, DATABASE, NAME = "default_tenant", "default_database", "books"
REQUEST = ReembedRequest(TENANT, DATABASE, NAME)
FIELDS = frozenset({Include.DOCUMENTS, Include.METADATAS, Include.URIS, Include.EMBEDDINGS})
DIMENSION = 4
WORDS = ["amber", "blue", "coral", "dune", "ebony", "fern"]

Record = tuple[str | None, dict[str, Any], str | None]


def vector(text: str) -> np.ndarray:
    return np.random.default_rng(xxhash.xxh3_64_intdigest(text.encode())).standard_normal(DIMENSION).astype(np.float32)


class HashEmbedder:
    """Vectors that depend on the text alone; `meanwhile` is called before each call."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def embed(self, texts: Sequence[str], _purpose: Purpose, _deadline: float, /) -> Embedded:
        self.texts += texts
        self.meanwhile()
        return Embedded(np.stack([vector(text) for text in texts]))

    def close(self) -> None:
        pass


@dataclass
class Environment:
    stores: Stores
    scope: Scope
    embedder: HashEmbedder

    def run(self, request: ReembedRequest = REQUEST, stores: Stores | None = None) -> ReembedReport:
        return reembed(Engine(stores or self.stores), request)

    def add(self, *names: str, **fields: Any) -> None:
        write(self.stores, self.scope, Op.UPSERT, names, **fields)

    def named(self, name: str = NAME) -> dict[str, Record]:
        return contents(self.stores, Engine(self.stores).get_collection(TENANT, DATABASE, name).id)

    def settle(self, scope: Scope | None = None) -> None:
        collection = (scope or self.scope).collection
        index(self.stores, Replica.for_indexer(self.stores, collection), collection, idle=True)


def write(stores: Stores, scope: Scope, op: Op, names: Sequence[str], **fields: Any) -> None:
    batch = Batch(op, list(names), np.zeros((len(names), 3), np.float32), documents=[f"text of {n}" for n in names])
    Engine(stores).write(scope, replace(batch, **fields))


def contents(stores: Stores, collection: Any) -> dict[str, Record]:
    """The records in insertion order."""
    found = Engine(stores).get(Scope(TENANT, DATABASE, collection), Selection(), None, 0, FIELDS)
    metadatas = [orjson.loads(value) if value else {} for value in found.metadatas or []]
    records = zip(found.ids, found.documents or [], metadatas, found.uris or [], strict=True)
    return {name: (text, metadata, uri) for name, text, metadata, uri in records}


def require_vectors(stores: Stores, name: str = NAME) -> None:
    """Each record has the vector of its document."""
    engine = Engine(stores)
    collection = engine.get_collection(TENANT, DATABASE, name)
    found = engine.get(Scope(TENANT, DATABASE, collection.id), Selection(), None, 0, FIELDS)
    assert collection.dimension == DIMENSION or not found.ids
    assert found.embeddings is not None
    for text, present in zip(found.documents or [], found.embeddings, strict=True):
        assert np.array_equal(present, vector(text or ""))


@contextmanager
def environment(embedder: HashEmbedder) -> Iterator[Environment]:
    with quick_folder() as folder:
        stores = stores_at(folder, SMALL)
        scope, _ = new_collection(stores, NAME, metadata={"about": "books"})
        yield Environment(stores, scope, embedder)
        stores.table.close()
