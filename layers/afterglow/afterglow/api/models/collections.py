"""Bodies about collections."""

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from afterglow.api import legacy
from afterglow.api.models.configuration import Configuration, UpdateConfiguration
from afterglow.api.models.fields import Metadata, MetadataChanges, RequestModel
from afterglow.api.models.schema import Schema


class CreateCollection(RequestModel):
    """A new collection."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "books", "get_or_create": True}})

    name: str
    # BaseModel has a method `schema`, so the field has another name here than in JSON.
    collection_schema: Schema | None = Field(default=None, alias="schema")
    # Clients before 1.0 send the old form, whose `space` must be preserved.
    configuration: Annotated[Configuration | None, BeforeValidator(legacy.from_legacy_configuration)] = None
    metadata: Metadata = None
    get_or_create: bool = False


class UpdateCollection(RequestModel):
    """Changes to a collection. New metadata replaces all old metadata."""

    new_name: str | None = None
    new_metadata: MetadataChanges = None
    new_configuration: UpdateConfiguration | None = None


class ForkCollection(RequestModel):
    """A fork of a collection."""

    new_name: str
