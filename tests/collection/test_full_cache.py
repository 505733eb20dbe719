"""A newer checkpoint that does not fit into the disk cache beside the current one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.types import Include, Scope, Selection
from afterglow.errors import StorageFull
from afterglow.jobs.index_messages import IDLE, handle
from afterglow.log.batch import Batch, Op
from afterglow.settings import Settings
from afterglow.storage.ports import Stores
from tests.support import aws
from tests.support.stores import SMALL, Clock, new_collection

ROWS, DIMENSION = 40, 512
BYTES = ROWS * DIMENSION * 4
LARGE = replace(SMALL, flush_ops=ROWS, hnsw_min_rows=10_000, gc_grace_seconds=10_000.0)


def batch(first: int, count: int) -> Batch:
    vectors = np.random.default_rng(first).standard_normal((count, DIMENSION), dtype=np.float32)
    return Batch(Op.UPSERT, [f"{number}" for number in range(first, first + count)], vectors)


def index(stores: Stores, scope: Scope) -> None:
    report = handle(stores, f'{{"group": "{scope.collection}", "body": "{IDLE}"}}')
    while report.needs_compaction or report.is_unfinished:
        report = handle(stores, f'{{"group": "{scope.collection}:compact", "body": "{IDLE}"}}')


def ids(engine: Engine, scope: Scope) -> set[str]:
    return set(engine.get(scope, Selection(), None, 0, frozenset({Include.EMBEDDINGS})).ids)


class Containers:
    """An indexer with room, and a reader whose disk cache holds `files` times the vectors of `ROWS` rows."""

    def __init__(self, folder: Path, clock: Clock, files: float) -> None:
        made = aws.make()
        self.clock = clock
        self.indexer = aws.stores_on_aws(made, folder / "indexer", LARGE, clock)
        reader: Settings = replace(LARGE, cache_max_bytes=int(files * BYTES))
        self.reader = Engine(aws.stores_on_aws(made, folder / "reader", reader, clock))
        self.writer = Engine(self.indexer)
        self.scope, _ = new_collection(self.indexer)

    def replace_all(self, first: int = 0) -> None:
        """Write all rows anew, so that the next checkpoint shares no file with the last one."""
        self.writer.write(self.scope, batch(first, ROWS))
        index(self.indexer, self.scope)


@pytest.mark.slow
def test_the_current_checkpoint_goes_on_serving(folder: Path) -> None:
    with aws.moto_aws():
        containers = Containers(folder, Clock(), files=1.7)
        containers.replace_all()
        scope, reader = containers.scope, containers.reader
        assert len(ids(reader, scope)) == ROWS
        for step in range(1, 4):
            containers.replace_all()
            containers.writer.write(scope, batch(1_000 + step, 1))
            assert ids(reader, scope) >= {f"{number}" for number in range(ROWS)} | {f"{1_000 + step}"}


@pytest.mark.slow
def test_it_gives_way_when_the_log_no_longer_continues_it(folder: Path) -> None:
    with aws.moto_aws():
        containers = Containers(folder, Clock(), files=1.7)
        containers.replace_all()
        scope, reader = containers.scope, containers.reader
        assert len(ids(reader, scope)) == ROWS
        for _ in range(3):  # two flushes behind, the reader's position in the log is trimmed
            containers.replace_all()
        assert len(ids(reader, scope)) == ROWS


def test_a_checkpoint_over_the_whole_cache_is_refused(folder: Path) -> None:
    with aws.moto_aws():
        containers = Containers(folder, Clock(), files=0.7)
        containers.replace_all()
        with pytest.raises(StorageFull, match="AFTERGLOW_CACHE_MAX_BYTES"):
            ids(containers.reader, containers.scope)
