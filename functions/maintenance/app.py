"""The maintenance function: a schedule invokes it to enqueue stale collections or to clean up (`jobs.maintenance`)."""

from dataclasses import asdict
from typing import Any

from afterglow.aws_lambda.invocation import record_report, seconds_left
from afterglow.aws_lambda.observability import instrument
from afterglow.deployment.aws import open_aws
from afterglow.deployment.base import NullQueue
from afterglow.errors import InvalidArgument
from afterglow.jobs import maintenance
from afterglow.settings import LAMBDA_DEFAULTS, System, from_environment
from afterglow.storage.aws.clients import Clients

system = System()
settings = from_environment(defaults=LAMBDA_DEFAULTS)
clients = Clients(system)
account = open_aws(settings, system, clients)
stores = account.stores(settings, system, account.queue or NullQueue())


@instrument
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run the task of the event, `enqueue_stale` or `clean_up`, and return its report. Raises InvalidArgument."""

    def has_time() -> bool:
        return seconds_left(context) > 0

    match event.get("task"):
        case maintenance.ENQUEUE_STALE:
            report = maintenance.enqueue_stale(stores, has_time)
            record_report(report, UnflushedOps=report.unflushed_ops, UnflushedBytes=report.unflushed_bytes)
        case maintenance.CLEAN_UP:
            report = maintenance.clean_up(stores, has_time, settings.scrub_max_bytes)
            record_report(report, DamagedObjects=report.damaged)
        case other:
            raise InvalidArgument(f"expected task {maintenance.ENQUEUE_STALE} or {maintenance.CLEAN_UP}, got {other!r}")
    return asdict(report)
