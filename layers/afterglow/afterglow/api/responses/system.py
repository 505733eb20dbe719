"""The server itself: whether it is alive, what it allows."""

from typing import Literal

from pydantic import Field

from afterglow.api.responses.base import ResponseModel


class Heartbeat(ResponseModel):
    """The server's clock."""

    nanoseconds: int = Field(alias="nanosecond heartbeat")


class Readiness(ResponseModel):
    """Whether the server's components are available."""

    is_executor_ready: bool
    is_log_client_ready: bool


class Health(ResponseModel):
    """The process serves requests."""

    status: Literal["ok"]


class Ready(ResponseModel):
    """Whether requests would succeed, and what is wrong if not."""

    ready: bool
    problems: list[str]


class PreFlight(ResponseModel):
    """Limits of the server that clients read before they write."""

    max_batch_size: int
    supports_base64_encoding: bool


class Identity(ResponseModel):
    """The caller's identity and scope."""

    user_id: str
    tenant: str
    databases: list[str]
