"""What the functions share that work for the queue and for the schedule."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from afterglow.metering import current

if TYPE_CHECKING:
    from afterglow.bulk.import_messages import Worked
    from afterglow.jobs.indexer import Report
    from afterglow.jobs.maintenance import Swept

MARGIN_SECONDS = 30.0
"""Kept back to end in order: nothing begins that is not expected to end before this."""


def seconds_left(context: Any) -> float:
    """Seconds that a step may take; negative when the invocation should end."""
    return float(context.get_remaining_time_in_millis()) / 1000 - MARGIN_SECONDS


def note(report: "Report | Swept", **metrics: float) -> None:
    """Have the invocation's line say what was done, and CloudWatch know these figures."""
    usage = current()
    if usage is not None:
        usage.facts |= {name: str(value) if name == "collection" else value for name, value in asdict(report).items()}
        usage.facts |= metrics


def note_import(done: "Sequence[Worked]") -> None:
    """Have the importer's line say what was done with a message."""
    usage = current()
    if usage is not None:
        for each in done:
            usage.facts |= {"task": each.task, "file": each.file, "state": each.state}
        usage.facts |= {"ImportedRows": sum(each.rows for each in done)}
        usage.facts |= {"RejectedRows": sum(each.rejected for each in done)}
