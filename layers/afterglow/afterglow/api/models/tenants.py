"""Bodies about tenants and databases."""

from pydantic import Field

from afterglow.api.models.fields import Shape


class CreateTenant(Shape):
    """A new tenant."""

    name: str = Field(examples=["acme"])


class UpdateTenant(Shape):
    """The resource name, which can be given once."""

    resource_name: str


class CreateDatabase(Shape):
    """A new database of a tenant."""

    name: str = Field(examples=["books"])
