"""Handlers of imports: how each went or stands, and the rows that were not taken. An extension; Chroma has none."""

from typing import TYPE_CHECKING

import orjson

from afterglow.api.http import request_params
from afterglow.api.http.handler import Answer, Call, Service

if TYPE_CHECKING:
    from afterglow.bulk.import_store import Ledger


def list_all(service: Service, call: Call) -> Answer:
    """A database's imports, the one last begun first."""
    limit, offset = request_params.page(call)
    found = _ledger(service).listed(*request_params.place(call))
    chosen = found[offset:] if limit is None else found[offset : offset + limit]
    return Answer(b"[%b]" % b",".join(each.encoded() for each in chosen))


def get(service: Service, call: Call) -> Answer:
    """How an import ended, or stands."""
    return Answer(_ledger(service).receipt(*request_params.place(call), call.part("import_id")).encoded())


def errors(service: Service, call: Call) -> Answer:
    """The rows of an import that were not taken."""
    limit, offset = request_params.page(call)
    found = list(_ledger(service).errors(*request_params.place(call), call.part("import_id")))
    return Answer(orjson.dumps(found[offset:] if limit is None else found[offset : offset + limit]))


def _ledger(service: Service) -> "Ledger":
    from afterglow.bulk.import_store import Ledger

    stores = service.engine.stores
    return Ledger(stores.table, stores.objects, stores.ambient, service.settings.import_kept_seconds)
