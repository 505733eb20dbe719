"""Handlers of imports: how each went or stands, and the rows that were not taken. An extension; Chroma has none."""

from typing import TYPE_CHECKING

import orjson

from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Request, Response

if TYPE_CHECKING:
    from afterglow.bulk.import_store import ImportStore


def list_all(service: AppContext, call: Request) -> Response:
    """A database's imports, the one last begun first."""
    limit, offset = request_params.limit_and_offset(call)
    found = _import_store(service).list(*request_params.tenant_and_database(call))
    chosen = found[offset:] if limit is None else found[offset : offset + limit]
    return Response(b"[%b]" % b",".join(each.encoded() for each in chosen))


def get(service: AppContext, call: Request) -> Response:
    """How an import ended, or stands."""
    return Response(
        _import_store(service).report(*request_params.tenant_and_database(call), call.path_part("import_id")).encoded()
    )


def errors(service: AppContext, call: Request) -> Response:
    """The rows of an import that were not taken."""
    limit, offset = request_params.limit_and_offset(call)
    found = list(_import_store(service).errors(*request_params.tenant_and_database(call), call.path_part("import_id")))
    return Response(orjson.dumps(found[offset:] if limit is None else found[offset : offset + limit]))


def _import_store(service: AppContext) -> "ImportStore":
    from afterglow.bulk.import_store import ImportStore

    stores = service.engine.stores
    return ImportStore(stores.table, stores.objects, stores.system, service.settings.import_report_ttl_seconds)
