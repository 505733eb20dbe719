"""The keys of the catalog's items."""

from uuid import UUID

TENANTS = "TENANTS"
DROPPED = "DROPPED"
JANITOR = "JANITOR"
STATE = "STATE"
DATABASE = "DB#"
NAME = "NAME#"


def databases_of(tenant: str) -> str:
    """The partition of a tenant's databases."""
    return f"TENANT#{tenant}"


def names_of(home: UUID) -> str:
    """The partition of a database's collection names."""
    return f"DB#{home}"


def collection(collection_id: UUID) -> str:
    """The partition of a collection: its state and its log."""
    return f"C#{collection_id}"
