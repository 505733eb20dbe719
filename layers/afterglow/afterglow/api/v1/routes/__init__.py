"""The routes of v1, the busiest first."""

from afterglow.api.http.route import Route
from afterglow.api.v1.routes import collections, records, system, tenants

ROUTES: tuple[Route, ...] = (*records.ROUTES, *collections.ROUTES, *tenants.ROUTES, *system.ROUTES)
