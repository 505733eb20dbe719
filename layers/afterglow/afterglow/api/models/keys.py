"""Bodies about API keys."""

from typing import Any, Literal

from pydantic import Field

from afterglow.api.models.fields import RequestModel


class CreateKey(RequestModel):
    """A new API key. Without `databases` it is for every database of the tenant.

    `filters` are the only records that the key sees and writes: a `where` clause by name of a collection, `*` for every
    other one.
    """

    role: Literal["reader", "writer", "admin"]
    name: str = Field(default="", max_length=100, examples=["laptop"])
    databases: list[str] | None = Field(default=None, max_length=1000)
    filters: dict[str, dict[str, Any]] | None = Field(default=None, max_length=1000)
