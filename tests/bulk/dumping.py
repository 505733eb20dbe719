"""A database that is copied and restored, and all that can be asked of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from afterglow.bulk.dump.layout import DumpStore
from afterglow.bulk.local_endpoint import LocalEndpoint
from afterglow.catalog import Catalog, Database
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope
from afterglow.deployment.backup_target import open_backup_target
from afterglow.jobs.every_collection import all_collections as named
from afterglow.jobs.indexer import index
from afterglow.jobs.verify import verify
from afterglow.log.batch import Batch, Op
from afterglow.settings import Settings, System
from afterglow.storage.ports import Stores
from tests.bulk.records import everything
from tests.support.stores import Clock, new_collection, stores_at

PLACE = ("default_tenant", "default_database")


@contextmanager
def opened(path: Path, clock: Clock | None = None) -> Iterator[Stores]:
    path.mkdir(exist_ok=True)
    stores = stores_at(path, clock=clock)
    Catalog(stores.table, stores.system).ensure_defaults()
    yield stores
    stores.table.close()


def dump_store(folder: Path) -> DumpStore:
    return DumpStore(*open_backup_target(str(folder / "copy"), Settings(), System(), create=True), "copy")


def database(stores: Stores, name: str = "default_database") -> Database:
    return Catalog(stores.table, stores.system).get_database("default_tenant", name)


def write(stores: Stores, scope: Scope, first: int, count: int = 9, text: str = "a") -> None:
    names = [f"{number}" for number in range(first, first + count)]
    vectors = np.random.default_rng(first).standard_normal((count, 3)).astype(np.float32)
    batch = Batch(Op.UPSERT, names, vectors, documents=[text] * count, metadatas=[{"n": first}] * count)
    Engine(stores).write(scope, batch)


def flush(stores: Stores, scope: Scope) -> None:
    index(stores, Replica.for_indexer(stores, scope.collection), scope.collection, idle=True)


def fill(stores: Stores) -> Scope:
    """A collection with a graph, tombstones and a tail with a large batch; one with a tail alone; an empty one."""
    scope = new_collection(stores, "everything", "cosine")[0]
    write(stores, scope, 0, 20)
    flush(stores, scope)
    write(stores, scope, 15, 9)
    flush(stores, scope)
    write(stores, scope, 3, 2)
    write(stores, scope, 50, 2, text="x" * 500)
    Engine(stores).write(scope, Batch(Op.DELETE, ["1"]))
    write(stores, new_collection(stores, "tail")[0], 0, 2)
    new_collection(stores, "empty")
    return scope


def contents(stores: Stores, name: str = "default_database") -> dict[str, tuple[Any, ...]]:
    """All that can be asked of a database's collections."""
    side = LocalEndpoint(stores, Engine(stores))
    return {
        collection.name: (
            collection.schema,
            collection.metadata,
            collection.dimension,
            everything(side.read(collection)),
        )
        for collection in side.collections("default_tenant", name)
    }


def problems(stores: Stores) -> list[str]:
    looked = [verify(stores, item) for item in named(stores)]
    return [problem for item in looked if item is not None for problem in item.problems]
