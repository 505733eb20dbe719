"""A whole file, imported here and now, range by range: what the command and a watched directory do."""

from dataclasses import dataclass
from typing import Protocol

from afterglow.bulk import planner, range_import
from afterglow.bulk.import_store import Progress
from afterglow.bulk.range_import import Site
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sources import Source
from afterglow.bulk.types import Plan, Receipt, Refused, Target
from afterglow.errors import InvalidArgument, NotFound


class Listener(Protocol):
    """Is told how an import goes on."""

    def planned(self, plan: Plan, progress: list[Progress]) -> None:
        """There is a plan, and so far it is."""

    def moved(self, progress: Progress) -> None:
        """A range was moved on."""


class Deaf:
    """Does not listen."""

    def planned(self, plan: Plan, progress: list[Progress]) -> None:
        """Nothing."""

    def moved(self, progress: Progress) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The receipt, and whether it was there before: the file as it is was imported already."""

    receipt: Receipt
    is_old: bool = False


def import_file(
    site: Site, source: Source, target: Target, said: Sidecar | None, listener: Listener, *, again: bool = False
) -> Imported:
    """Import a file, or go on with it: one that failed goes on where it stopped, one that is done is left alone.

    With `again` it begins anew. Raises Unavailable, Busy, StorageFull; then to be called again.
    """
    ledger = site.ledger
    try:
        plan = planner.make(source, target, said, site.sink, settings=site.settings, ambient=site.ambient)
    except (Refused, InvalidArgument, NotFound) as error:
        receipt = refusal(site, source, target, error.message)
        ledger.refuse(receipt)
        return Imported(receipt)
    if again:
        ledger.forget(target.tenant, target.database, plan.id)
    before = ledger.finished(target.tenant, target.database, plan.id)
    if before is not None and before.state == "done":
        return Imported(before, is_old=True)
    plan = ledger.begin(plan)
    if before is not None:
        ledger.reopen(plan)
    listener.planned(plan, ledger.progress(plan))
    for number in range(len(plan.ranges)):
        range_import.work_on(site, plan, source, number, told=listener.moved)
    return Imported(ledger.finish(plan))


def refusal(site: Site, source: Source, target: Target, reason: str) -> Receipt:
    """The receipt of a file that came to no plan."""
    now = site.ambient.now()
    return Receipt(
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
