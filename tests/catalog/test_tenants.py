"""Tenants and databases."""

from collections.abc import Iterator

import pytest

from afterglow.catalog import Catalog, keys
from afterglow.errors import AlreadyExists, NotFound
from afterglow.storage.ports import Stores
from tests.contract.racing import in_threads
from tests.support.stores import quick_folder, stores_at


@pytest.fixture
def stores() -> Iterator[Stores]:
    with quick_folder() as folder:
        opened = stores_at(folder)
        yield opened
        opened.table.close()


@pytest.fixture
def catalog(stores: Stores) -> Catalog:
    return Catalog(stores.table, stores.system)


def test_the_defaults_are_made_once(catalog: Catalog) -> None:
    catalog.ensure_defaults()
    first = catalog.get_database("default_tenant", "default_database")
    catalog.ensure_defaults()
    assert catalog.get_database("default_tenant", "default_database") == first
    assert catalog.list_tenants() == ["default_tenant"]
    assert first.id.int == 0


def test_a_tenant_is_made_once(catalog: Catalog) -> None:
    catalog.create_tenant("one")
    with pytest.raises(AlreadyExists, match=r"Tenant \[one\] already exists"):
        catalog.create_tenant("one")
    assert catalog.get_tenant("one") is None
    with pytest.raises(NotFound, match=r"Tenant \[two\] not found"):
        catalog.get_tenant("two")


def test_a_resource_name_is_given_once(catalog: Catalog) -> None:
    catalog.create_tenant("one")
    catalog.set_resource_name("one", "resource")
    catalog.set_resource_name("one", "resource")
    assert catalog.get_tenant("one") == "resource"
    with pytest.raises(AlreadyExists):
        catalog.set_resource_name("one", "other")
    with pytest.raises(NotFound):
        catalog.set_resource_name("two", "resource")


def test_databases_are_by_tenant_and_name(catalog: Catalog) -> None:
    for tenant in ("one", "two"):
        catalog.create_tenant(tenant)
    made = [catalog.create_database("one", name) for name in ("b", "a", "ключ", "c")]
    other = catalog.create_database("two", "a")
    assert len({database.id for database in [*made, other]}) == 5
    assert [database.name for database in catalog.list_databases("one")] == ["a", "b", "c", "ключ"]
    assert [database.name for database in catalog.list_databases("one", 2, 1)] == ["b", "c"]
    assert catalog.list_databases("one", 0) == []
    assert catalog.list_databases("one", 5, 9) == []
    assert catalog.list_databases("three") == []
    assert catalog.get_database("two", "a") == other
    assert catalog.find_database("two", "b") is None
    with pytest.raises(NotFound, match=r"Database \[b\] not found"):
        catalog.get_database("two", "b")


def test_a_database_is_made_once_and_of_a_tenant_that_is_there(catalog: Catalog) -> None:
    catalog.create_tenant("one")
    catalog.create_database("one", "a")
    with pytest.raises(AlreadyExists, match=r"Database \[a\] already exists"):
        catalog.create_database("one", "a")
    with pytest.raises(NotFound, match=r"Tenant \[two\] not found"):
        catalog.create_database("two", "a")
    assert catalog.list_databases("two") == []


def test_of_racing_creators_one_wins(catalog: Catalog) -> None:
    catalog.create_tenant("one")

    def work(number: int) -> int:
        won = 0
        for name in "abcdefgh":
            try:
                catalog.create_database("one", name)
            except AlreadyExists:
                continue
            won += 1
        return won

    assert sum(in_threads(4, work)) == 8


def test_a_forgotten_database_is_gone_and_noted(catalog: Catalog, stores: Stores) -> None:
    catalog.create_tenant("one")
    database = catalog.create_database("one", "a")
    catalog.delete_database(database)
    assert catalog.find_database("one", "a") is None
    assert [item.sk for item in stores.table.query(keys.DELETIONS)] == [keys.names_partition(database.namespace_id)]
    again = catalog.create_database("one", "a")
    assert again.namespace_id != database.namespace_id
    catalog.complete_delete(database)
    assert stores.table.query(keys.DELETIONS) == []
    assert catalog.find_database("one", "a") == again
