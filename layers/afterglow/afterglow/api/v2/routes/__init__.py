"""The route table, from which the application, `/openapi.json` and `/docs` are made.

Requests are matched in this order: the busiest routes first, and `by-id` before names. Those of what a collection has
refuse parameters that they do not know; no client of Chroma sends one.
"""

from collections.abc import Iterable
from dataclasses import replace

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


def _strict(routes: Iterable[Route]) -> Iterable[Route]:
    return (replace(route, strict_query=True) for route in routes)


ROUTES: tuple[Route, ...] = (
    *_strict(records.ROUTES),
    *_strict(transactions.ROUTES),
    *_strict(collections.FORKS),
    *_strict(functions.ROUTES),
    *_strict(erasures.ROUTES),
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
