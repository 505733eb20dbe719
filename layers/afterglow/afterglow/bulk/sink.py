"""Where the records of an import go: to the log, through an engine of this process."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.types import ImportRejected, Plan, RangeConflict, Target
from afterglow.catalog import names, schema
from afterglow.collection import Batch, Engine
from afterglow.collection.types import Scope
from afterglow.errors import InvalidArgument
from afterglow.storage.ports import ConditionFailed, Put


@dataclass(frozen=True, slots=True)
class TargetCollection:
    """The collection that records go to; `dimension` None: it has no records yet."""

    collection_id: str
    dimension: int | None


class Sink(Protocol):
    """Takes batches."""

    @property
    def max_rows(self) -> int:
        """Records of one batch, at most."""

    def open(self, target: Target, sidecar: Sidecar) -> TargetCollection:
        """The collection, made where there is none. Raises Refused."""

    def write(self, plan: Plan, batch: Batch, progress_write: Put) -> None:
        """Make the batch durable, and with it the `note` of how far the import is.

        Raises Overtaken where the note was overtaken; Busy, Unavailable: to be tried again; and others: not to be.
        """


@dataclass(frozen=True, slots=True)
class EngineSink:
    """An engine of this process: batch and note are one transaction."""

    engine: Engine

    @property
    def max_rows(self) -> int:
        """As many as a client of a server may send; a function's limit is about requests, and there are none here."""
        return 5461

    def open(self, target: Target, sidecar: Sidecar) -> TargetCollection:
        """The collection, by the engine."""
        asked = sidecar.create_request(target.collection)
        try:
            names.validate_collection_name(target.collection)
            stored = schema.reconcile(asked["configuration"], asked["schema"], asked["metadata"])
            made = self.engine.create_collection(
                target.tenant, target.database, target.collection, asked["metadata"], stored, get_or_create=True
            )
        except InvalidArgument as error:
            raise ImportRejected(error.message) from None
        except (AttributeError, KeyError, TypeError) as error:
            raise ImportRejected(f"the sidecar's configuration or schema is not one: {error!r}") from None
        return TargetCollection(str(made.id), made.dimension)

    def write(self, plan: Plan, batch: Batch, progress_write: Put) -> None:
        """Append, and note, or neither."""
        scope = Scope(plan.target.tenant, plan.target.database, UUID(plan.collection_id))
        try:
            self.engine.write(scope, batch, extra_writes=[progress_write])
        except ConditionFailed as conflict:
            raise RangeConflict(conflict.message) from None
