"""The destination of an import's batches; here the log, through an engine of this process."""

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
    """The collection of an import; `dimension` is None if it has no records yet."""

    collection_id: str
    dimension: int | None


class Sink(Protocol):
    """Accepts batches."""

    @property
    def max_rows(self) -> int:
        """The largest number of records in a batch."""

    def open(self, target: Target, sidecar: Sidecar) -> TargetCollection:
        """The collection, created if it does not exist. Raises ImportRejected."""

    def write(self, plan: Plan, batch: Batch, progress_write: Put) -> None:
        """Make the batch durable, and with it the progress of the range.

        Raises RangeConflict if another worker advanced the range; Busy and Unavailable are worth a retry, others not.
        """


@dataclass(frozen=True, slots=True)
class EngineSink:
    """An engine of this process: batch and progress are one transaction."""

    engine: Engine

    @property
    def max_rows(self) -> int:
        """The limit for a server's clients; that of a Lambda function is for requests, and there are none here."""
        return 5461

    def open(self, target: Target, sidecar: Sidecar) -> TargetCollection:
        """The collection, by the engine."""
        request = sidecar.create_request(target.collection)
        try:
            names.validate_collection_name(target.collection)
            stored = schema.reconcile(request["configuration"], request["schema"], request["metadata"])
            collection = self.engine.create_collection(
                target.tenant, target.database, target.collection, request["metadata"], stored, get_or_create=True
            )
        except InvalidArgument as error:
            raise ImportRejected(error.message) from None
        except (AttributeError, KeyError, TypeError) as error:
            raise ImportRejected(f"the configuration or schema of the sidecar is invalid: {error!r}") from None
        return TargetCollection(str(collection.id), collection.dimension)

    def write(self, plan: Plan, batch: Batch, progress_write: Put) -> None:
        """Append the batch and advance the range, or neither."""
        scope = Scope(plan.target.tenant, plan.target.database, UUID(plan.collection_id))
        try:
            self.engine.write(scope, batch, extra_writes=[progress_write])
        except ConditionFailed as conflict:
            raise RangeConflict(conflict.message) from None
