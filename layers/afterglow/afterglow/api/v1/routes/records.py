"""The v1 routes of records."""

from typing import TYPE_CHECKING, Any

from afterglow.api.http.late import late
from afterglow.api.http.route import Route
from afterglow.api.v1.routes.paths import COLLECTION, TAG
from afterglow.auth import Permission

if TYPE_CHECKING:
    from afterglow.api import models
    from afterglow.api.v1 import records
    from afterglow.api.v1 import responses as v1_responses
else:
    models = late("afterglow.api.models")
    records = late("afterglow.api.v1.records")
    v1_responses = late("afterglow.api.v1.responses")

# In v1, an unknown collection is an invalid argument.
_READ: dict[str, Any] = {"permission": Permission.READ, "scope_of": None, "failures": (400,)}
_WRITE: dict[str, Any] = {"permission": Permission.WRITE, "scope_of": None, "failures": (400, 429, 501, 507)}

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        COLLECTION + "/query",
        "v1.records.query",
        records.query,
        TAG,
        "Find the records nearest to each query vector",
        models.QueryRecords,
        v1_responses.V1QueryResponse,
        restricted=records.query,
        **_READ,
    ),
    Route(
        "POST",
        COLLECTION + "/get",
        "v1.records.get",
        records.get,
        TAG,
        "Get records by id or filter, in insertion order",
        models.GetRecords,
        v1_responses.V1GetResponse,
        restricted=records.get,
        **_READ,
    ),
    Route(
        "POST",
        COLLECTION + "/add",
        "v1.records.add",
        records.add,
        TAG,
        "Add records; existing ids are skipped",
        models.AddRecords,
        bool,
        success=201,
        restricted=records.add,
        **_WRITE,
    ),
    Route(
        "POST",
        COLLECTION + "/upsert",
        "v1.records.upsert",
        records.upsert,
        TAG,
        "Insert records, or update existing ones",
        models.UpsertRecords,
        bool,
        restricted=records.upsert,
        **_WRITE,
    ),
    Route(
        "POST",
        COLLECTION + "/update",
        "v1.records.update",
        records.update,
        TAG,
        "Update records; unknown ids are skipped",
        models.UpdateRecords,
        bool,
        restricted=records.update,
        **_WRITE,
    ),
    Route(
        "POST",
        COLLECTION + "/delete",
        "v1.records.delete",
        records.delete,
        TAG,
        "Delete records by id or filter",
        models.DeleteRecords,
        type(None),
        restricted=records.delete,
        **_WRITE,
    ),
    Route(
        "GET",
        COLLECTION + "/count",
        "v1.records.count",
        records.count,
        TAG,
        "Count a collection's records",
        response=int,
        restricted=records.count,
        **_READ,
    ),
)
