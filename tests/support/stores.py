"""Stores over local adapters for tests: in memory where the machine can, with a clock that can be moved."""

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
    log_placeholder_ttl_seconds=1_000,
    log_end_cache_seconds=100.0,
    retention_seconds=0.0,
)
"""Everything that a large collection does happens after a few records; the past is not kept."""

KEEPING = replace(SMALL, retention_seconds=500.0)
"""The same, with the past kept."""


class Clock:
    """Real time and what was slept or skipped on top; nobody waits."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def now(self) -> float:
        return time.time() + self.skipped

    def sleep(self, seconds: float) -> None:
        self.skipped += seconds


class StillClock:
    """Seconds that pass when told to."""

    def __init__(self, seconds: float = 1_000_000.0) -> None:
        self.seconds = seconds

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Nudges:
    """A Queue that remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, group: str, body: str) -> None:
        self.sent.append((group, body))


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder of its own in memory, where syncing costs nothing, or else on the disk."""
    parent = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="afterglow-test-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def stores_at(
    folder: Path,
    settings: Settings = SMALL,
    clock: Clock | StillClock | None = None,
    *,
    seed: int = 0,
    faults: Faults | None = None,
) -> Stores:
    """The stores of a data directory, created when missing; `faults` wraps all three."""
    clock = clock or Clock()
    system = System(now=clock.now, sleep=clock.sleep, random=random.Random(f"{seed} {time.monotonic_ns()}"))
    stores = Stores(
        table=SqliteTable(folder / "table.sqlite"),
        objects=DirectoryObjects(folder / "objects", system),
        queue=Nudges(),
        settings=settings,
        system=system,
    )
    return stores if faults is None else made_faulty(stores, faults)


def made_faulty(stores: Stores, faults: Faults) -> Stores:
    """The same stores, failing."""
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
    """A collection in the default database, which is made when missing; `sparse` are keys to index, by BM25 or not."""
    catalog = Catalog(stores.table, stores.system)
    catalog.ensure_defaults()
    keys = {key: _sparse_index(bm25) for key, bm25 in (sparse or {}).items()}
    vectors = {"float_list": {"vector_index": {"enabled": True, "config": {"space": space}}}}
    stored_schema = schema.reconcile(None, {"defaults": {}, "keys": {"#embedding": vectors, **keys}}, None)
    made = Engine(stores).create_collection("default_tenant", "default_database", name, metadata, stored_schema)
    return Scope("default_tenant", "default_database", made.id), made


def _sparse_index(bm25: bool) -> dict[str, Any]:
    return {"sparse_vector": {"sparse_vector_index": {"enabled": True, "config": {"bm25": bm25}}}}
