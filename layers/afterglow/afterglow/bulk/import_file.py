"""A whole file, imported here and now, range by range: what the command and a watched directory do."""

from dataclasses import dataclass
from typing import Protocol

from afterglow.bulk import planner, range_import
from afterglow.bulk.import_store import RangeProgress
from afterglow.bulk.range_import import ImportContext
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sources import Source
from afterglow.bulk.types import ImportRejected, ImportReport, Plan, Target
from afterglow.errors import InvalidArgument, NotFound


class ProgressListener(Protocol):
    """Is told how an import goes on."""

    def on_plan(self, plan: Plan, progress: list[RangeProgress]) -> None:
        """There is a plan, and so far it is."""

    def on_progress(self, progress: RangeProgress) -> None:
        """A range was moved on."""


class NullListener:
    """Does not listen."""

    def on_plan(self, plan: Plan, progress: list[RangeProgress]) -> None:
        """Nothing."""

    def on_progress(self, progress: RangeProgress) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The receipt, and whether it was there before: the file as it is was imported already."""

    report: ImportReport
    already_imported: bool = False


def import_file(
    context: ImportContext,
    source: Source,
    target: Target,
    sidecar: Sidecar | None,
    listener: ProgressListener,
    *,
    force: bool = False,
) -> ImportResult:
    """Import a file, or go on with it: one that failed goes on where it stopped, one that is done is left alone.

    With `again` it begins anew. Raises Unavailable, Busy, StorageFull; then to be called again.
    """
    ledger = context.store
    try:
        plan = planner.make_plan(source, target, sidecar, context.sink, settings=context.settings, system=context.system)
    except (ImportRejected, InvalidArgument, NotFound) as error:
        receipt = rejected_report(context, source, target, error.message)
        ledger.put_report(receipt)
        return ImportResult(receipt)
    if force:
        ledger.delete(target.tenant, target.database, plan.id)
    before = ledger.finished(target.tenant, target.database, plan.id)
    if before is not None and before.state == "done":
        return ImportResult(before, already_imported=True)
    plan = ledger.begin(plan)
    if before is not None:
        ledger.resume(plan)
    listener.on_plan(plan, ledger.progress(plan))
    for number in range(len(plan.ranges)):
        range_import.import_range(context, plan, source, number, on_progress=listener.on_progress)
    return ImportResult(ledger.finish(plan))


def rejected_report(context: ImportContext, source: Source, target: Target, reason: str) -> ImportReport:
    """The receipt of a file that came to no plan."""
    now = context.system.now()
    return ImportReport(
        id=planner.failed_id(source, target),
        state="failed",
        file=source.name,
        size=source.size,
        tenant=target.tenant,
        database=target.database,
        collection=target.collection,
        started_at=now,
        finished_at=now,
        reason=reason,
    )
