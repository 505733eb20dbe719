"""API keys."""

from typing import Any, Literal

from afterglow.api.responses.base import ResponseModel


class Key(ResponseModel):
    """An API key without its secret. Without `databases` it is for every database of the tenant.

    `created` is in unix seconds. `creator` is the user who created it over HTTP, null for the command line.
    """

    id: str
    name: str
    role: Literal["reader", "writer", "admin"]
    tenant: str
    databases: list[str] | None
    filters: dict[str, Any] | None
    created: int
    creator: str | None


class CreatedKey(Key):
    """A new API key; `key` is its text, which is not stored."""

    key: str
