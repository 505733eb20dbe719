"""Lists the collections of every database, dropped ones too, around what is damaged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from afterglow.catalog import Catalog, Database, collections
from afterglow.errors import Corrupt
from afterglow.jobs.restore import DroppedCollection, restorable
from afterglow.storage.ports import Stores

OnProblem = Callable[[Corrupt], None]
"""Callback with damage that prevents the check of some collections."""


def raise_problem(error: Corrupt) -> None:
    """Raises the error."""
    raise error


@dataclass(frozen=True, slots=True)
class NamedCollection:
    """A name of a database, and the collection that it points to."""

    database: Database
    name: str
    collection: UUID

    def __str__(self) -> str:
        return f"{self.database.tenant}/{self.database.name}/{self.name}"


def all_collections(stores: Stores, on_problem: OnProblem = raise_problem) -> Iterator[NamedCollection]:
    """Every name of every database; a database whose names cannot be read is a problem. Raises Corrupt."""
    for database in _all_databases(stores, on_problem):
        try:
            names = collections.list_names(stores.table, database.namespace_id)
        except Corrupt as error:
            on_problem(error)
            continue
        for name, collection in names:
            yield NamedCollection(database, name, collection)


def all_dropped(stores: Stores, on_problem: OnProblem = raise_problem) -> Iterator[DroppedCollection]:
    """Every dropped collection that can be restored. Raises Corrupt."""
    for database in _all_databases(stores, on_problem):
        try:
            yield from restorable(stores, database)
        except Corrupt as error:
            on_problem(error)


def _all_databases(stores: Stores, on_problem: OnProblem) -> Iterator[Database]:
    catalog = Catalog(stores.table, stores.system)
    for tenant in catalog.list_tenants():
        try:
            yield from catalog.list_databases(tenant)
        except Corrupt as error:
            on_problem(error)
