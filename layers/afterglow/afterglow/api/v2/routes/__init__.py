"""The route table, from which Starlette's routes, `/openapi.json` and `/docs` are made.

Requests are matched in this order: the busiest routes first, and `by-id` before names.
"""

from afterglow.api import console, docs
from afterglow.api.http.route import Route
from afterglow.api.v1 import routes as v1
from afterglow.api.v2.routes import (
    collections,
    erasures,
    functions,
    imports,
    keys,
    records,
    system,
    tenants,
    transactions,
)

ROUTES: tuple[Route, ...] = (
    *records.ROUTES,
    *transactions.ROUTES,
    *collections.FORKS,
    *functions.ROUTES,
    *erasures.ROUTES,
    *collections.ROUTES,
    *imports.ROUTES,
    *collections.LOOKUPS,
    *tenants.ROUTES,
    *keys.ROUTES,
    *system.ROUTES,
    *v1.ROUTES,
    *docs.routes(lambda: ROUTES),
    *console.ROUTES,
)
