"""The keys of the catalog's items."""

from uuid import UUID

TENANTS = "TENANTS"
DELETIONS = "DELETIONS"
MAINTENANCE = "MAINTENANCE"
ERASURES = "ERASURES"
STATE = "STATE"
REEMBED = "#REEMBED"
"""The progress of embedding a collection anew, in its partition: before the log, which is read up to the state."""
DATABASE = "DB#"
NAME = "NAME#"
COLLECTION = "C#"
AFTER_COLLECTIONS = "C$"
AFTER_DATABASES = "DB$"


def databases_partition(tenant: str) -> str:
    """The partition of a tenant's databases."""
    return f"TENANT#{tenant}"


def names_partition(namespace_id: UUID) -> str:
    """The partition of a database's collection names."""
    return f"{DATABASE}{namespace_id}"


def lineage_partition(lineage_id: UUID) -> str:
    """The partition of the members of a lineage."""
    return f"LINEAGE#{lineage_id}"


def collection(collection_id: UUID) -> str:
    """The partition of a collection: its state and its log."""
    return f"{COLLECTION}{collection_id}"


def restore_marks_partition(namespace_id: UUID) -> str:
    """The partition of a restore's progress marks in a database, by collection name."""
    return f"RESTORE_MARKS#{namespace_id}"
