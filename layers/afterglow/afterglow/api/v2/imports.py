"""Handlers of imports: their reports and their rejected rows. An extension of Chroma's API."""

from typing import TYPE_CHECKING

import orjson

from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Request, Response

if TYPE_CHECKING:
    from afterglow.bulk.import_store import ImportStore


def list_all(context: AppContext, request: Request) -> Response:
    """A database's imports, latest first."""
    limit, offset = request_params.limit_and_offset(request)
    reports = _import_store(context).list(*request_params.tenant_and_database(request))
    page = reports[offset:] if limit is None else reports[offset : offset + limit]
    return Response(b"[%b]" % b",".join(report.encode() for report in page))


def get(context: AppContext, request: Request) -> Response:
    """The report of an import, running or finished."""
    return Response(
        _import_store(context)
        .report(*request_params.tenant_and_database(request), request.path_part("import_id"))
        .encode()
    )


def errors(context: AppContext, request: Request) -> Response:
    """The rejected rows of an import."""
    limit, offset = request_params.limit_and_offset(request)
    tenant, database = request_params.tenant_and_database(request)
    rows = list(_import_store(context).errors(tenant, database, request.path_part("import_id")))
    return Response(orjson.dumps(rows[offset:] if limit is None else rows[offset : offset + limit]))


def _import_store(context: AppContext) -> "ImportStore":
    from afterglow.bulk.import_store import ImportStore

    stores = context.engine.stores
    return ImportStore(stores.table, stores.objects, stores.system, context.settings.import_report_ttl_seconds)
