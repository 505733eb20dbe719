"""The processes of a simulation, what their clients know, and what they draw: collections, names, batches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from afterglow.catalog import Database
from afterglow.collection.types import Scope
from afterglow.log.batch import Batch, Op
from tests.simulation.observer import CollectionLog, Observer
from tests.simulation.processes import DAY, Environment, Incarnation, Process

TENANT, DATABASE = "default_tenant", "default_database"
TTL_KEY = "expires"
IMPORTS = "IMPORTS"
_IDS = 14
_LARGE = 500
"""Characters of a document that makes its batch too large for the table."""


@dataclass(frozen=True, slots=True)
class JointCommit:
    """A commit of several collections that was sent: the document that each of them gets."""

    documents: Mapping[UUID, str]


@dataclass
class Cast:
    """The processes, what their clients know, and what they have done."""

    environment: Environment
    observer: Observer
    processes: list[Process]
    scopes: list[Scope] = field(default_factory=list)
    dropped: set[UUID] = field(default_factory=set)
    acknowledged: dict[UUID, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    created: int = 0
    joint_commits: list[JointCommit] = field(default_factory=list)

    def log(self, scope: Scope) -> CollectionLog:
        """The log of a collection as the observer has it."""
        return self.observer.logs[scope.collection]


Operation = Callable[[Cast, Incarnation], None]


def any_collection(cast: Cast) -> Scope:
    """One of the collections that were made."""
    return cast.environment.random.choice(cast.scopes)


def database(incarnation: Incarnation) -> Database:
    """The database of all collections."""
    return incarnation.engine.catalog.get_database(TENANT, DATABASE)


def new_name(cast: Cast, source: Scope, how: str) -> str:
    """A name that no collection has had; the observer learns what it is made from."""
    cast.created += 1
    name = f"{how}-{cast.created}-of-{cast.log(source).name}"
    cast.observer.origins[name] = (source.collection, how)
    return name


def draw_batch(cast: Cast, ttl_key: str | None) -> Batch:
    """A write of some records."""
    random = cast.environment.random
    op = random.choice((Op.ADD, Op.ADD, Op.UPSERT, Op.UPSERT, Op.UPDATE, Op.DELETE))
    ids = [f"r{number}" for number in random.sample(range(_IDS), random.choice((1, 1, 2, 4)))]
    if op is Op.DELETE:
        return Batch(op, ids)
    cast.created += 1
    padding = "x" * (_LARGE if random.random() < 0.3 else 0)
    has_vectors = op is not Op.UPDATE or random.random() < 0.5
    return Batch(
        op,
        ids,
        vectors=np.array([[random.randrange(9) for _ in range(3)] for _ in ids], dtype=np.float32)
        if has_vectors
        else None,
        documents=[f"{op} {cast.created} {name} {padding}" for name in ids],
        metadatas=[_draw_metadata(cast, ttl_key) for _ in ids],
    )


def _draw_metadata(cast: Cast, ttl_key: str | None) -> dict[str, float]:
    random = cast.environment.random
    metadata: dict[str, float] = {random.choice("kmn"): random.randrange(3)}
    if ttl_key is not None and random.random() < 0.5:
        metadata[ttl_key] = round(cast.environment.scheduler.time + random.choice((-9, -1, 1, 1, 3, 9)) * DAY)
    return metadata
