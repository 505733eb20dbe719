"""The routes of a collection's records."""

from typing import TYPE_CHECKING, Any

from afterglow.api.http import request_params
from afterglow.api.http.late import late
from afterglow.api.http.route import Execution, Route
from afterglow.api.v2 import records
from afterglow.api.v2.routes.paths import COLLECTION
from afterglow.auth import Permission
from afterglow.collection.types import ReadLevel

if TYPE_CHECKING:
    from afterglow.api import models, responses
    from afterglow.api.v2 import changes, search, values
else:
    models = late("afterglow.api.models")
    responses = late("afterglow.api.responses")
    changes = late("afterglow.api.v2.changes")
    search = late("afterglow.api.v2.search")
    values = late("afterglow.api.v2.values")

_LEVEL: dict[str, Any] = {"type": "string", "enum": list(ReadLevel), "default": ReadLevel.INDEX_AND_WAL}

_CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "after",
        {
            "type": "string",
            "default": "0",
            "pattern": "^[0-9]{1,18}(:[0-9]{1,9})?$",
            "description": "Read what follows this position: `next` of the last line, or the header"
            " `afterglow-next-position` of the last response. 0: from the beginning.",
        },
    ),
    (
        "limit",
        {
            "type": "integer",
            "minimum": 0,
            "maximum": request_params.MAX_LINES,
            "default": request_params.DEFAULT_LINES,
            "description": "At most this many lines.",
        },
    ),
    (
        "wait",
        {
            "type": "number",
            "minimum": 0,
            "maximum": request_params.MAX_WAIT_SECONDS,
            "default": 0,
            "description": "Seconds to wait for a change if there is none yet; on AWS the response comes at once.",
        },
    ),
)

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        COLLECTION + "/query",
        "records.query",
        records.query,
        "Records",
        "Find the records nearest to each query vector or text",
        models.QueryRecords,
        responses.QueryResponse,
        failures=(400, 404, 429),
        execution=Execution.ADAPTIVE,
        query=(request_params.AT_PARAMETER,),
        permission=Permission.READ,
        restricted=records.query,
    ),
    Route(
        "POST",
        COLLECTION + "/get",
        "records.get",
        records.get,
        "Records",
        "Get records by id or filter, in insertion order",
        models.GetRecords,
        responses.GetResponse,
        failures=(400, 404),
        execution=Execution.ADAPTIVE,
        query=(request_params.AT_PARAMETER,),
        permission=Permission.READ,
        restricted=records.get,
    ),
    Route(
        "POST",
        COLLECTION + "/add",
        "records.add",
        records.add,
        "Records",
        "Add records; existing ids are skipped",
        models.AddRecords,
        responses.EmptyResponse,
        success=201,
        failures=(400, 404, 429, 501, 507),
        permission=Permission.WRITE,
        restricted=records.add,
    ),
    Route(
        "POST",
        COLLECTION + "/upsert",
        "records.upsert",
        records.upsert,
        "Records",
        "Insert records, or update existing ones",
        models.UpsertRecords,
        responses.EmptyResponse,
        failures=(400, 404, 429, 501, 507),
        permission=Permission.WRITE,
        restricted=records.upsert,
    ),
    Route(
        "POST",
        COLLECTION + "/update",
        "records.update",
        records.update,
        "Records",
        "Update records; unknown ids are skipped",
        models.UpdateRecords,
        responses.EmptyResponse,
        failures=(400, 404, 429, 501, 507),
        permission=Permission.WRITE,
        restricted=records.update,
    ),
    Route(
        "POST",
        COLLECTION + "/delete",
        "records.delete",
        records.delete,
        "Records",
        "Delete records by id or filter",
        models.DeleteRecords,
        responses.DeleteResponse,
        failures=(400, 404, 429, 507),
        permission=Permission.WRITE,
        restricted=records.delete,
    ),
    Route(
        "GET",
        COLLECTION + "/count",
        "records.count",
        records.count,
        "Records",
        "Count a collection's records",
        response=int,
        failures=(400, 404),
        query=(("read_level", _LEVEL), request_params.AT_PARAMETER),
        permission=Permission.READ,
        restricted=records.count,
    ),
    Route(
        "POST",
        COLLECTION + "/count",
        "records.count_selected",
        values.count,
        "Records",
        "Count the records that a filter selects",
        models.CountRecords,
        int,
        failures=(400, 404),
        query=(request_params.AT_PARAMETER,),
        permission=Permission.READ,
        restricted=values.count,
    ),
    Route(
        "POST",
        COLLECTION + "/distinct",
        "records.distinct",
        values.distinct,
        "Records",
        "Count the distinct values of a metadata key",
        models.DistinctValues,
        responses.DistinctResponse,
        failures=(400, 404),
        query=(request_params.AT_PARAMETER,),
        permission=Permission.READ,
        restricted=values.distinct,
    ),
    Route(
        "POST",
        COLLECTION + "/min_max",
        "records.min_max",
        values.min_max,
        "Records",
        "Get the least and the greatest value of a metadata key",
        models.ValueRange,
        responses.MinMaxResponse,
        failures=(400, 404),
        query=(request_params.AT_PARAMETER,),
        permission=Permission.READ,
        restricted=values.min_max,
    ),
    Route(
        "GET",
        COLLECTION + "/indexing_status",
        "records.indexing_status",
        records.indexing_status,
        "Records",
        "How far the operations are indexed",
        response=responses.IndexingStatus,
        failures=(400, 404),
        permission=Permission.READ,
    ),
    Route(
        "GET",
        COLLECTION + "/changes",
        "records.changes",
        changes.changes,
        "Records",
        "Read what was written, in order, from a position on: JSON lines, or server-sent events",
        response=responses.Change,
        failures=(400, 404, 410, 429),
        query=_CHANGES,
        content_types=("application/x-ndjson", "text/event-stream"),
        permission=Permission.READ,
    ),
    Route(
        "POST",
        COLLECTION + "/search",
        "search.search",
        search.search,
        "Records",
        "Run several searches: filter, rank by an expression, group",
        models.SearchRecords,
        responses.SearchResponse,
        failures=(400, 404, 429),
        execution=Execution.ADAPTIVE,
        query=(request_params.AT_PARAMETER,),
        permission=Permission.READ,
        restricted=search.search,
    ),
)
