"""Handler of the reports of erasures."""

from typing import Any

import orjson

from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.catalog.erasures import Erasure


def list_reports(context: AppContext, request: Request) -> Response:
    """The reports of the erasures that concern a collection."""
    found = context.engine.erasures(request_params.scope(request))
    return Response(orjson.dumps([_report(erasure) for erasure in found]))


def _report(erasure: Erasure) -> dict[str, Any]:
    return {
        "id": erasure.id,
        "collection_id": erasure.collection,
        "state": erasure.state,
        "records": erasure.records,
        "requested_at": erasure.requested_at,
        "deadline": erasure.deadline,
        "finished_at": erasure.finished_at,
        "objects": erasure.objects,
    }
