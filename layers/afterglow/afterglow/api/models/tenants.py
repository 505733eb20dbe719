"""Bodies about tenants and databases."""

from pydantic import Field

from afterglow.api.models.fields import RequestModel


class CreateTenant(RequestModel):
    """A new tenant."""

    name: str = Field(examples=["acme"])


class UpdateTenant(RequestModel):
    """The resource name, which can be set once."""

    resource_name: str


class CreateDatabase(RequestModel):
    """A new database of a tenant."""

    name: str = Field(examples=["books"])
