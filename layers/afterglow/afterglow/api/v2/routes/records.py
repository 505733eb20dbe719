"""The routes of a collection's records."""

from typing import Any

from afterglow.api import models, responses
from afterglow.api.http import request_params
from afterglow.api.http.route import Execution, Route
from afterglow.api.v2 import records, search
from afterglow.api.v2.routes.paths import COLLECTION
from afterglow.auth import Permission
from afterglow.collection.types import ReadLevel

_LEVEL: dict[str, Any] = {"type": "string", "enum": list(ReadLevel), "default": ReadLevel.INDEX_AND_WAL}

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
        query=(request_params.AT_PARAMETER,),
        permission=Permission.READ,
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
    ),
)
