"""The janitor: on a schedule, nudges what waits to be indexed, or tidies up."""

from dataclasses import asdict
from typing import Any

from afterglow.aws_lambda.invocation import record, seconds_left
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
    """Answers what was done. The event's `task` is `nudge` or `tidy`."""

    def has_time() -> bool:
        return seconds_left(context) > 0

    match event.get("task"):
        case "nudge":
            swept = maintenance.enqueue_stale(stores, has_time)
            record(swept, UnindexedTail=swept.unflushed_ops)
        case "tidy":
            swept = maintenance.clean_up(stores, has_time, settings.scrub_max_bytes)
            record(swept, DamagedObjects=swept.damaged)
        case other:
            raise InvalidArgument(f"the task is nudge or tidy, not {other!r}")
    return asdict(swept)
