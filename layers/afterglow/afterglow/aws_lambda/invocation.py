"""What the functions share that work for the queue and for the schedule."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from afterglow.metering import current_usage

if TYPE_CHECKING:
    from afterglow.bulk.import_messages import MessageResult
    from afterglow.jobs.indexer import IndexReport
    from afterglow.jobs.maintenance import MaintenanceReport

MARGIN_SECONDS = 30.0
"""Kept back to end in order: nothing begins that is not expected to end before this."""


def seconds_left(context: Any) -> float:
    """Seconds that a step may take; negative when the invocation should end."""
    return float(context.get_remaining_time_in_millis()) / 1000 - MARGIN_SECONDS


def record_report(report: "IndexReport | MaintenanceReport", **metrics: float) -> None:
    """Have the invocation's line say what was done, and CloudWatch know these figures."""
    usage = current_usage()
    if usage is not None:
        usage.attributes |= {
            name: str(value) if name == "collection" else value for name, value in asdict(report).items()
        }
        usage.attributes |= metrics


def record_import(done: "Sequence[MessageResult]") -> None:
    """Have the importer's line say what was done with a message."""
    usage = current_usage()
    if usage is not None:
        for each in done:
            usage.attributes |= {"task": each.task, "file": each.file, "state": each.state}
        usage.attributes |= {"ImportedRows": sum(each.rows for each in done)}
        usage.attributes |= {"RejectedRows": sum(each.rejected for each in done)}
