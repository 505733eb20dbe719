"""Imports a file in this process, range by range: for the command and the watched directory."""

from dataclasses import dataclass
from typing import Protocol

from afterglow.bulk import planner, range_import
from afterglow.bulk.import_layout import RangeProgress
from afterglow.bulk.range_import import ImportContext
from afterglow.bulk.sidecar import GivenOptions
from afterglow.bulk.sources import Source
from afterglow.bulk.types import ImportRejected, ImportReport, Plan, Target
from afterglow.errors import InvalidArgument, NotFound


class ProgressListener(Protocol):
    """Receives the progress of an import."""

    def on_plan(self, plan: Plan, progress: list[RangeProgress]) -> None:
        """The plan is stored; `progress` is that of its ranges so far."""

    def on_progress(self, progress: RangeProgress) -> None:
        """A range was advanced."""


class NullListener:
    """Ignores the progress."""

    def on_plan(self, plan: Plan, progress: list[RangeProgress]) -> None:
        """Nothing."""

    def on_progress(self, progress: RangeProgress) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The report; `already_imported` if it existed before, for the same version of the file."""

    report: ImportReport
    already_imported: bool = False


def import_file(
    context: ImportContext,
    source: Source,
    target: Target,
    given: GivenOptions,
    listener: ProgressListener,
    *,
    force: bool = False,
) -> ImportResult:
    """Import a file, or continue: a failed import continues where it stopped, a finished one is not repeated.

    With `force` it starts from the beginning. Raises Unavailable, Busy, StorageFull; all are worth another call.
    """
    store = context.store
    try:
        plan = planner.make_plan(source, target, given, context.sink, settings=context.settings, system=context.system)
    except (ImportRejected, InvalidArgument, NotFound) as error:
        return ImportResult(store.reject(source, target, error.message))
    if force:
        store.delete(target.tenant, target.database, plan.id)
    previous = store.finished(target.tenant, target.database, plan.id)
    if previous is not None and previous.state == "done":
        return ImportResult(previous, already_imported=True)
    plan = store.begin(plan)
    if previous is not None:
        store.resume(plan)
    listener.on_plan(plan, store.progress(plan))
    for number in range(len(plan.ranges)):
        range_import.import_range(context, plan, source, number, on_progress=listener.on_progress)
    return ImportResult(store.finish(plan))
