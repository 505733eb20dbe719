"""The paths that the v1 route tables share, and the parameters in which v1 has the tenant and the database."""

from typing import Any

from afterglow.catalog.tenants import DEFAULT_DATABASE, DEFAULT_TENANT

API = "/api/v1"
COLLECTIONS = API + "/collections"
COLLECTION = COLLECTIONS + "/{collection_id}"
TAG = "Version 1"
TENANT: tuple[str, dict[str, Any]] = ("tenant", {"type": "string", "default": DEFAULT_TENANT})
SCOPE = (TENANT, ("database", {"type": "string", "default": DEFAULT_DATABASE}))
