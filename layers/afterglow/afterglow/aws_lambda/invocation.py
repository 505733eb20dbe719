"""For the functions invoked by a queue or a schedule: the time left, and the report in the log line."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from afterglow.metering import current_usage

if TYPE_CHECKING:
    from afterglow.bulk.import_messages import MessageResult
    from afterglow.jobs.indexer import IndexReport
    from afterglow.jobs.maintenance import MaintenanceReport

MARGIN_SECONDS = 30.0
"""Reserved for a clean end: a step starts only if it is expected to end before this reserve."""


def seconds_left(context: Any) -> float:
    """Seconds that a step may take; negative when the invocation should end."""
    return float(context.get_remaining_time_in_millis()) / 1000 - MARGIN_SECONDS


def record_report(report: "IndexReport | MaintenanceReport", **metrics: float) -> None:
    """Add a report to the log line of the invocation, and these figures to its metrics."""
    usage = current_usage()
    if usage is not None:
        usage.attributes |= {
            name: str(value) if name == "collection" else value for name, value in asdict(report).items()
        }
        usage.attributes |= metrics


def record_import(results: "Sequence[MessageResult]") -> None:
    """Add the results of a message to the log line of the importer."""
    usage = current_usage()
    if usage is not None:
        for result in results:
            usage.attributes |= {"task": result.task, "file": result.file, "state": result.state}
        usage.attributes |= {"ImportedRows": sum(result.rows for result in results)}
        usage.attributes |= {"RejectedRows": sum(result.rejected for result in results)}
