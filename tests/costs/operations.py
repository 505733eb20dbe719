"""Each main call once over an emulated account, and the usage that it reports: the ground of docs/cost.md.

Records are as in the tables of the docs: 384 dimensions and a document of 400 bytes.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from afterglow.aws_lambda.engine import open_engine
from afterglow.catalog import schema
from afterglow.collection import Engine
from afterglow.collection.read.search_request import DenseKnn, Search
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import Include, ReadLevel, Scope, Selection
from afterglow.deployment.aws import open_aws
from afterglow.filters import parse_filter
from afterglow.jobs import maintenance
from afterglow.jobs.index_messages import IDLE, handle
from afterglow.log.batch import Batch, Op
from afterglow.metering import Usage, collect_usage
from afterglow.ranking.ast import KnnScore, Nary, NaryOp
from afterglow.settings import LAMBDA_DEFAULTS, Settings, System
from tests.support import aws

DIMENSION = 384
DOCUMENT = "a document of four hundred bytes, which is what a paragraph has ".ljust(400, ".")
BULK = LAMBDA_DEFAULTS.max_batch_size
INDEXED = 2 + 16 * BULK


@dataclass(frozen=True)
class Measured:
    """What one call used, and how many records it was about."""

    usage: Usage
    records: int = 1


def records(first: int, count: int) -> Batch:
    """New records, each with a vector of its own."""
    vectors = np.random.default_rng(first).standard_normal((count, DIMENSION), dtype=np.float32)
    names = [f"record-{number:06}" for number in range(first, first + count)]
    metadatas = [{"section": "games", "size": number} for number in range(count)]
    return Batch(Op.ADD, names, vectors, documents=[DOCUMENT] * count, metadatas=metadatas)


class Account:
    """One collection in an emulated account, seen by as many containers as are asked for."""

    def __init__(self, folder: Path) -> None:
        self.made = aws.make()
        self.folder = folder
        self.engine = self.container()
        stored = schema.reconcile(None, None, None)
        made = self.engine.create_collection("default_tenant", "default_database", "measured", None, stored)
        self.scope = Scope("default_tenant", "default_database", made.id)
        self.first = 0

    def settings(self) -> Settings:
        """A container's settings: each has a disk of its own."""
        return self.made.settings(LAMBDA_DEFAULTS, Path(tempfile.mkdtemp(dir=self.folder)))

    def container(self) -> Engine:
        """A function just started."""
        return open_engine(open_aws(self.settings(), System(), aws.guarded_clients()), self.settings(), System())

    def add(self, count: int) -> Measured:
        """A write by the one container that has written so far."""
        batch = records(self.first, count)
        self.first += count
        return measured(lambda: self.engine.write(self.scope, batch), count)

    def query(self, engine: Engine, at: PointInTime | None = None) -> Measured:
        """The ten nearest with their documents, now or at a point in time."""
        one = np.ones((1, DIMENSION), dtype=np.float32)
        include = frozenset({Include.DOCUMENTS, Include.METADATAS, Include.DISTANCES})
        return measured(lambda: engine.query(self.scope, one, 10, Selection(), include, at=at))

    def search(self, engine: Engine) -> Measured:
        """Two searches, of which one ranks by two vectors, and one names a record."""
        vectors = np.eye(2, DIMENSION, dtype=np.float32)
        rank = Nary(NaryOp.SUM, (KnnScore(0), KnnScore(1)))
        fused = Search(rank=rank, knn=tuple(DenseKnn(vector, 10) for vector in vectors))
        named = Search(filter=parse_filter({"#id": "record-000001"}), include=frozenset({Include.DOCUMENTS}))
        return measured(lambda: engine.search(self.scope, [fused, named], ReadLevel.INDEX_AND_WAL))

    def index(self) -> Measured:
        """Everything folded and merged, by an indexer just started."""
        settings, system = self.settings(), System()
        account = open_aws(settings, system, aws.guarded_clients())
        assert account.queue is not None
        stores = account.stores(settings, system, account.queue)

        def work() -> None:
            first = f'{{"group": "{self.scope.collection}", "body": "{IDLE}"}}'
            report = handle(stores, first)
            while report.needs_compaction or report.is_unfinished:
                report = handle(stores, f'{{"group": "{self.scope.collection}:compact", "body": "{IDLE}"}}')

        return measured(work, self.first)

    def enqueue_stale(self) -> Measured:
        """The maintenance job's check of every collection."""
        settings, system = self.settings(), System()
        account = open_aws(settings, system, aws.guarded_clients())
        assert account.queue is not None
        stores = account.stores(settings, system, account.queue)
        return measured(lambda: maintenance.enqueue_stale(stores, lambda: True))


def measured(call: Callable[[], object], count: int = 1) -> Measured:
    """What a call used."""
    with collect_usage() as usage:
        call()
    return Measured(usage, count)


def measure(folder: Path) -> dict[str, Measured]:
    """Every row of the tables, by the name it has there. To be called with an emulated account in force."""
    found: dict[str, Measured] = {}
    account = Account(folder)
    found["first write of a collection"] = account.add(1)
    found["write of 1 record"] = account.add(1)
    found[f"write of {BULK} records"] = account.add(BULK)
    while account.first < INDEXED:
        account.add(BULK)
    found["cold query, nothing indexed"] = account.query(account.container())
    found[f"indexing of {account.first} records"] = account.index()
    cold = account.container()
    found["cold query, all indexed"] = account.query(cold)
    found["query, warm"] = account.query(cold)
    found["request with two searches, warm"] = account.search(cold)
    selection = Selection(["record-000001", "record-000002"])
    found["get of 2 records, warm"] = measured(
        lambda: cold.get(account.scope, selection, None, 0, frozenset({Include.DOCUMENTS}))
    )
    found["count, warm"] = measured(lambda: cold.count(account.scope))
    found[f"fork of {INDEXED} records"] = measured(lambda: cold.fork(account.scope, "fork"))
    past = PointInTime(position=3)
    found["point-in-time query, cold"] = account.query(cold, past)
    found["point-in-time query, warm"] = account.query(cold, past)
    account.query(account.engine)
    found["delete of 1 record"] = measured(lambda: account.engine.delete(account.scope, Selection(["record-000001"])))
    found["maintenance check of 1 collection"] = account.enqueue_stale()
    return found
