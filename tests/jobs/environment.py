"""One collection in local stores with small thresholds, and the steps that the tests of the jobs take."""

from dataclasses import dataclass
from uuid import UUID

import numpy as np

from afterglow.catalog import Collection, collections
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope, Selection
from afterglow.jobs.flush import flush
from afterglow.log.batch import Batch, Op
from afterglow.segment.manifest import Manifest
from afterglow.storage.ports import Stores
from tests.support.stores import Clock


@dataclass
class Environment:
    """One collection and its stores."""

    stores: Stores
    clock: Clock
    scope: Scope
    id: UUID

    def write(self, *names: str) -> None:
        """Upsert records with these ids and 3 dimensions."""
        vectors = np.arange(3 * len(names), dtype=np.float32).reshape(-1, 3)
        Engine(self.stores).write(self.scope, Batch(Op.UPSERT, list(names), vectors))

    def delete(self, *names: str) -> None:
        """Delete the records with these ids."""
        Engine(self.stores).delete(self.scope, Selection(list(names)))

    def ids(self) -> list[str]:
        """The ids that a reader gets, in insertion order."""
        return Engine(self.stores).get(self.scope, Selection(), None, 0, frozenset()).ids

    def replica(self) -> Replica:
        """A replica as an indexer opens it."""
        return Replica.for_indexer(self.stores, self.id)

    def flush(self) -> Manifest:
        """Flush the whole log into a new manifest."""
        return flush(self.stores, self.replica().snapshot())

    def state(self) -> Collection:
        """The state of the collection."""
        state = collections.by_id(self.stores.table, self.id)
        assert state is not None
        return state

    def objects(self) -> list[str]:
        """The keys of all stored objects."""
        return [info.key for info in self.stores.objects.list("")]

    def wait_for_grace(self) -> None:
        """Move the clock past the grace time of garbage collection."""
        self.clock.skipped += self.stores.settings.gc_grace_seconds + 1

    def wait_for_placeholders(self) -> None:
        """Move the clock past the lifetime of placeholder entries."""
        self.clock.skipped += self.stores.settings.log_seal_ttl_seconds + 1
