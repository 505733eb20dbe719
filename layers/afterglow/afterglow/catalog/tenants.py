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
    """Tenants and databases in one table. Collections are in `catalog.collections`."""

    def __init__(self, table: Table, system: System) -> None:
        self._table = table
        self._system = system

    def ensure_defaults(self) -> None:
        """Create the default tenant and database if they are missing; one read if they exist."""
        database = keys.databases_partition(DEFAULT_TENANT), keys.DATABASE + DEFAULT_DATABASE
        has_tenant, has_database = self._table.get_many([(keys.TENANTS, DEFAULT_TENANT), database])
        if has_tenant is None:
            _put_if_absent(self._table, keys.TENANTS, DEFAULT_TENANT, {})
        if has_database is None:
            value = {"id": str(_DEFAULT_DATABASE_ID), "home": str(self._system.new_id())}
            _put_if_absent(self._table, *database, value)

    def create_tenant(self, name: str) -> None:
        """Create a tenant. Raises AlreadyExists."""
        # The nonce distinguishes our own put, repeated after a lost response, from another writer's.
        if not _put_if_absent(self._table, keys.TENANTS, name, {"nonce": self._system.nonce()}):
            raise AlreadyExists(f"Tenant [{name}] already exists")

    def get_tenant(self, name: str) -> str | None:
        """Return the tenant's resource name, None if it has none. Raises NotFound."""
        item = self._table.get(keys.TENANTS, name)
        if item is None:
            raise NotFound(f"Tenant [{name}] not found")
        resource_name: str | None = orjson.loads(item.value).get("resource_name")
        return resource_name

    def set_resource_name(self, name: str, resource_name: str) -> None:
        """Set the tenant's resource name, which cannot be changed later. Raises NotFound, AlreadyExists."""
        existing = self.get_tenant(name)
        if existing is not None and existing != resource_name:
            raise AlreadyExists(f"Tenant [{name}] already has a resource name")
        self._table.put(keys.TENANTS, name, orjson.dumps({"resource_name": resource_name}))

    def list_tenants(self) -> list[str]:
        """Return the names of all tenants, ascending."""
        return [item.sk for item in self._table.query(keys.TENANTS)]

    def create_database(self, tenant: str, name: str) -> Database:
        """Create a database in a tenant. Raises NotFound for the tenant, AlreadyExists."""
        identifier = self._system.new_id()
        database = Database(identifier, name, tenant, namespace_id=identifier)
        put = Put(keys.databases_partition(tenant), keys.DATABASE + name, _encode(database), if_absent=True)
        try:
            self._table.transact([Check(keys.TENANTS, tenant), put])
        except ConditionFailed:
            self.get_tenant(tenant)
            if self.find_database(tenant, name) == database:
                return database  # an earlier attempt with a lost response had succeeded
            raise AlreadyExists(f"Database [{name}] already exists") from None
        return database

    def find_database(self, tenant: str, name: str) -> Database | None:
        """Return the database, or None."""
        item = self._table.get(keys.databases_partition(tenant), keys.DATABASE + name)
        return None if item is None else _decode(item, tenant)

    def get_database(self, tenant: str, name: str) -> Database:
        """Return the database. Raises NotFound."""
        database = self.find_database(tenant, name)
        if database is None:
            raise NotFound(f"Database [{name}] not found. Are you sure it exists?")
        return database

    def list_databases(self, tenant: str, limit: int | None = None, offset: int = 0) -> list[Database]:
        """Return the tenant's databases in order of name; none for an unknown tenant."""
        items = self._table.query(keys.databases_partition(tenant), after=keys.DATABASE)
        page = items[offset:] if limit is None else items[offset : offset + limit]
        return [_decode(item, tenant) for item in page]

    def collections(self) -> Iterator[UUID]:
        """Iterate over the ids of all collections, with one query per tenant and per database."""
        for tenant in self.list_tenants():
            for database in self.list_databases(tenant):
                yield from collections.list_ids(self._table, database.namespace_id)

    def delete_database(self, database: Database, *, skip_retention: bool = False) -> None:
        """Delete the database's name and record that its collections are to be dropped, without retention if set.

        *Crash after: the database is inaccessible; the maintenance job drops its collections.*
        """
        self._table.transact(
            [
                Delete(keys.databases_partition(database.tenant), keys.DATABASE + database.name),
                deletions.put_database(database.namespace_id, skip_retention=skip_retention),
            ]
        )

    def complete_delete(self, database: Database) -> None:
        """Remove the record of `delete_database` after the database's collections are dropped."""
        self._table.delete(keys.DELETIONS, keys.names_partition(database.namespace_id))

    def delete_tenant(self, name: str) -> None:
        """Delete the tenant, which must have no databases."""
        self._table.delete(keys.TENANTS, name)


def _put_if_absent(table: Table, pk: str, sk: str, value: dict[str, str]) -> bool:
    body = orjson.dumps(value)
    try:
        table.put(pk, sk, body, if_absent=True)
    except ConditionFailed as conflict:
        return conflict.existing is not None and conflict.existing.value == body
    return True


def _encode(database: Database) -> bytes:
    return orjson.dumps({"id": str(database.id), "home": str(database.namespace_id)})


def _decode(item: Item, tenant: str) -> Database:
    value = orjson.loads(item.value)
    return Database(UUID(value["id"]), item.sk.removeprefix(keys.DATABASE), tenant, UUID(value["home"]))
