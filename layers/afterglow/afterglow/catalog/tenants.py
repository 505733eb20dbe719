"""Tenants and their databases."""

from collections.abc import Iterator
from uuid import UUID

import orjson

from afterglow.catalog import collections, deletions, keys
from afterglow.catalog.model import Database
from afterglow.errors import AlreadyExists, NotFound
from afterglow.settings import System
from afterglow.storage.ports import Check, ConditionFailed, Delete, Item, Put, Table

DEFAULT_TENANT = "default_tenant"
DEFAULT_DATABASE = "default_database"
_DEFAULT_DATABASE_ID = UUID(int=0)


class Catalog:
    """Tenants and databases over one table. Collections are in `catalog.collections`."""

    def __init__(self, table: Table, system: System) -> None:
        self._table = table
        self._system = system

    def ensure_defaults(self) -> None:
        """Make the default tenant and database where they are missing: one read where they are not."""
        database = keys.databases_partition(DEFAULT_TENANT), keys.DATABASE + DEFAULT_DATABASE
        has_tenant, has_database = self._table.get_many([(keys.TENANTS, DEFAULT_TENANT), database])
        if has_tenant is None:
            _put_if_absent(self._table, keys.TENANTS, DEFAULT_TENANT, {})
        if has_database is None:
            value = {"id": str(_DEFAULT_DATABASE_ID), "home": str(self._system.new_id())}
            _put_if_absent(self._table, *database, value)

    def create_tenant(self, name: str) -> None:
        """Make a tenant. Raises AlreadyExists."""
        # The nonce tells our own put, repeated because its first answer was lost, from another's.
        if not _put_if_absent(self._table, keys.TENANTS, name, {"nonce": self._system.nonce()}):
            raise AlreadyExists(f"Tenant [{name}] already exists")

    def get_tenant(self, name: str) -> str | None:
        """The tenant's resource name, None where it has none. Raises NotFound."""
        item = self._table.get(keys.TENANTS, name)
        if item is None:
            raise NotFound(f"Tenant [{name}] not found")
        resource_name: str | None = orjson.loads(item.value).get("resource_name")
        return resource_name

    def set_resource_name(self, name: str, resource_name: str) -> None:
        """Give the tenant its resource name, once. Raises NotFound, AlreadyExists."""
        present = self.get_tenant(name)
        if present is not None and present != resource_name:
            raise AlreadyExists(f"Tenant [{name}] already has a resource name")
        self._table.put(keys.TENANTS, name, orjson.dumps({"resource_name": resource_name}))

    def list_tenants(self) -> list[str]:
        """Every tenant, by name."""
        return [item.sk for item in self._table.query(keys.TENANTS)]

    def create_database(self, tenant: str, name: str) -> Database:
        """Make a database of a tenant. Raises NotFound for the tenant, AlreadyExists."""
        identifier = self._system.new_id()
        database = Database(identifier, name, tenant, namespace_id=identifier)
        put = Put(keys.databases_partition(tenant), keys.DATABASE + name, _value(database), if_absent=True)
        try:
            self._table.transact([Check(keys.TENANTS, tenant), put])
        except ConditionFailed:
            self.get_tenant(tenant)
            if self.find_database(tenant, name) == database:
                return database  # an adapter wrote it twice, because the first answer was lost
            raise AlreadyExists(f"Database [{name}] already exists") from None
        return database

    def find_database(self, tenant: str, name: str) -> Database | None:
        """The database, or None."""
        item = self._table.get(keys.databases_partition(tenant), keys.DATABASE + name)
        return None if item is None else _database(item, tenant)

    def get_database(self, tenant: str, name: str) -> Database:
        """The database. Raises NotFound."""
        database = self.find_database(tenant, name)
        if database is None:
            raise NotFound(f"Database [{name}] not found. Are you sure it exists?")
        return database

    def list_databases(self, tenant: str, limit: int | None = None, offset: int = 0) -> list[Database]:
        """The tenant's databases, by name; none for an unknown tenant."""
        items = self._table.query(keys.databases_partition(tenant), after=keys.DATABASE)
        chosen = items[offset:] if limit is None else items[offset : offset + limit]
        return [_database(item, tenant) for item in chosen]

    def collections(self) -> Iterator[UUID]:
        """Every collection of every tenant. Each tenant, and each of its databases, is a query of the table."""
        for tenant in self.list_tenants():
            for database in self.list_databases(tenant):
                yield from collections.list_ids(self._table, database.namespace_id)

    def delete_database(self, database: Database, *, skip_retention: bool = False) -> None:
        """Take the database's name away and note that its collections are to be dropped, with `forget` for good.

        *Crash after: nobody can reach the database any more; the janitor drops its collections.*
        """
        self._table.transact(
            [
                Delete(keys.databases_partition(database.tenant), keys.DATABASE + database.name),
                deletions.put_database(database.namespace_id, skip_retention=skip_retention),
            ]
        )

    def complete_delete(self, database: Database) -> None:
        """Take the note of `forget_database` back, after the database's collections are dropped."""
        self._table.delete(keys.DELETIONS, keys.names_partition(database.namespace_id))

    def delete_tenant(self, name: str) -> None:
        """Take the tenant's name away; its databases must be gone."""
        self._table.delete(keys.TENANTS, name)


def _put_if_absent(table: Table, pk: str, sk: str, value: dict[str, str]) -> bool:
    body = orjson.dumps(value)
    try:
        table.put(pk, sk, body, if_absent=True)
    except ConditionFailed as conflict:
        return conflict.existing is not None and conflict.existing.value == body
    return True


def _value(database: Database) -> bytes:
    return orjson.dumps({"id": str(database.id), "home": str(database.namespace_id)})


def _database(item: Item, tenant: str) -> Database:
    value = orjson.loads(item.value)
    return Database(UUID(value["id"]), item.sk.removeprefix(keys.DATABASE), tenant, UUID(value["home"]))
