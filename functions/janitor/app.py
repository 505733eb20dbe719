"""The janitor: on a schedule, nudges what waits to be indexed, or tidies up."""

from dataclasses import asdict
from typing import Any

from afterglow.aws_lambda.invocation import note, seconds_left
from afterglow.aws_lambda.observability import observed
from afterglow.deployment.aws import open_account
from afterglow.deployment.base import NoQueue
from afterglow.errors import InvalidArgument
from afterglow.jobs import maintenance
from afterglow.settings import IN_LAMBDA, Ambient, from_environment
from afterglow.storage.aws.clients import Clients

ambient = Ambient()
settings = from_environment(defaults=IN_LAMBDA)
clients = Clients(ambient)
account = open_account(settings, ambient, clients)
stores = account.stores(settings, ambient, account.queue or NoQueue())


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers what was done. The event's `task` is `nudge` or `tidy`."""

    def has_time() -> bool:
        return seconds_left(context) > 0

    match event.get("task"):
        case "nudge":
            swept = maintenance.nudge(stores, has_time)
            note(swept, UnindexedTail=swept.unindexed_ops)
        case "tidy":
            swept = maintenance.tidy(stores, has_time, settings.scrub_bytes)
            note(swept, DamagedObjects=swept.damaged)
        case other:
            raise InvalidArgument(f"the task is nudge or tidy, not {other!r}")
    return asdict(swept)
