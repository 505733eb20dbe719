"""Stores over local adapters for tests: in memory where the machine can, with an adjustable clock."""

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from afterglow.catalog import Catalog, Collection, schema
from afterglow.collection import Engine
from afterglow.collection.types import Scope
from afterglow.settings import Settings, System
from afterglow.storage.local.objects import DirectoryObjects
from afterglow.storage.local.table import SqliteTable
from afterglow.storage.ports import Stores
from tests.support.faulty import Faults, FaultyObjects, FaultyQueue, FaultyTable

_MEMORY = Path("/dev/shm")

SMALL = Settings(
    flush_ops=6,
    hnsw_min_rows=8,
    exact_search_max_rows=0,
    log_inline_max_bytes=400,
    compaction_threads=1,
    gc_grace_seconds=5.0,
    log_seal_ttl_seconds=1_000,
    log_end_cache_seconds=100.0,
    retention_seconds=0.0,
)
"""Flushes, HNSW builds and compactions happen after a few records; time travel is disabled."""

WITH_RETENTION = replace(SMALL, retention_seconds=500.0)
"""The same with time travel."""


class Clock:
    """Real time plus everything slept or skipped; sleeping takes no time."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def now(self) -> float:
        return time.time() + self.skipped

    def sleep(self, seconds: float) -> None:
        self.skipped += seconds


class ManualClock:
    """A clock that only sleeping moves."""

    def __init__(self, seconds: float = 1_000_000.0) -> None:
        self.seconds = seconds

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class RecordingQueue:
    """A Queue that records the sent messages."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, group: str, body: str) -> None:
        self.sent.append((group, body))


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A temporary folder in memory, where syncing is free, or on disk if there is no memory file system."""
    parent = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="afterglow-test-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def stores_at(
    folder: Path,
    settings: Settings = SMALL,
    clock: Clock | ManualClock | None = None,
    *,
    seed: int = 0,
    faults: Faults | None = None,
) -> Stores:
    """The stores of a data directory, created if missing; `faults` wraps all three."""
    clock = clock or Clock()
    system = System(
        now=clock.now, monotonic=clock.now, sleep=clock.sleep, random=random.Random(f"{seed} {time.monotonic_ns()}")
    )
    stores = Stores(
        table=SqliteTable(folder / "table.sqlite"),
        objects=DirectoryObjects(folder / "objects", system, reserve=folder / "reserve"),
        queue=RecordingQueue(),
        settings=settings,
        system=system,
    )
    return stores if faults is None else with_faults(stores, faults)


def with_faults(stores: Stores, faults: Faults) -> Stores:
    """The same stores with injected faults."""
    return replace(
        stores,
        table=FaultyTable(stores.table, faults),
        objects=FaultyObjects(stores.objects, faults),
        queue=FaultyQueue(stores.queue, faults),
    )


def new_collection(
    stores: Stores,
    name: str = "tested",
    space: str = "l2",
    sparse: dict[str, bool] | None = None,
    metadata: dict[str, Any] | None = None,
) -> tuple[Scope, Collection]:
    """A new collection in the default database, created if missing; `sparse` maps keys to index to their BM25 flag."""
    catalog = Catalog(stores.table, stores.system)
    catalog.ensure_defaults()
    keys = {key: _sparse_index(bm25) for key, bm25 in (sparse or {}).items()}
    vectors = {"float_list": {"vector_index": {"enabled": True, "config": {"space": space}}}}
    stored_schema = schema.reconcile(None, {"defaults": {}, "keys": {"#embedding": vectors, **keys}}, None)
    collection = Engine(stores).create_collection("default_tenant", "default_database", name, metadata, stored_schema)
    return Scope("default_tenant", "default_database", collection.id), collection


def _sparse_index(bm25: bool) -> dict[str, Any]:
    return {"sparse_vector": {"sparse_vector_index": {"enabled": True, "config": {"bm25": bm25}}}}
