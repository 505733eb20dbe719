"""Collections by name and by id, and the races about them."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.catalog import Catalog, Collection, Database, collections, keys
from afterglow.catalog import state as states
from afterglow.errors import AlreadyExists, Corrupt, NotFound
from afterglow.storage.ports import Item, Stores
from tests.contract.racing import in_threads
from tests.support.faulty import Fault, Faults, nth
from tests.support.stores import quick_folder, stores_at, with_faults


@pytest.fixture
def stores() -> Iterator[Stores]:
    with quick_folder() as folder:
        opened = stores_at(folder)
        Catalog(opened.table, opened.system).ensure_defaults()
        yield opened
        opened.table.close()


@pytest.fixture
def database(stores: Stores) -> Database:
    return Catalog(stores.table, stores.system).get_database("default_tenant", "default_database")


def fresh(stores: Stores, database: Database, name: str) -> Collection:
    return Collection(
        stores.system.new_id(),
        name,
        database.tenant,
        database.name,
        database.namespace_id,
        {"keys": {}},
        {"about": name},
    )


def test_a_collection_is_found_by_name_and_by_id(stores: Stores, database: Database) -> None:
    made = fresh(stores, database, "one")
    collections.create(stores.table, made)
    assert collections.by_name(stores.table, database, "one") == made
    assert collections.by_id(stores.table, made.id) == made
    assert collections.by_name(stores.table, database, "two") is None
    assert collections.by_id(stores.table, UUID(int=1)) is None


def test_a_name_is_taken_once(stores: Stores, database: Database) -> None:
    collections.create(stores.table, fresh(stores, database, "one"))
    second = fresh(stores, database, "one")
    with pytest.raises(AlreadyExists, match=r"Collection \[one\] already exists"):
        collections.create(stores.table, second)
    assert collections.by_id(stores.table, second.id) is None


def test_no_collection_in_a_database_that_went_away(stores: Stores, database: Database) -> None:
    Catalog(stores.table, stores.system).delete_database(database)
    made = fresh(stores, database, "one")
    with pytest.raises(NotFound, match="default_database"):
        collections.create(stores.table, made)
    assert collections.by_id(stores.table, made.id) is None


def test_lists_are_by_id(stores: Stores, database: Database) -> None:
    made = [fresh(stores, database, f"c{number}") for number in range(7)]
    for collection in made:
        collections.create(stores.table, collection)
    found = collections.list_ids(stores.table, database.namespace_id)
    assert found == sorted(collection.id for collection in made)
    collections.drop(stores.table, stores.system, made[0].id)
    names = {collection.name for collection in collections.by_ids(stores.table, found)}
    assert names == {f"c{number}" for number in range(1, 7)}


def test_concurrent_updates_are_not_lost(stores: Stores, database: Database) -> None:
    made = fresh(stores, database, "one")
    collections.create(stores.table, made)

    def work(number: int) -> None:
        def edit(present: Collection) -> Collection:
            return replace(present, flushed_ops=present.flushed_ops + 1)

        for _ in range(3):
            collections.update(stores.table, made.id, edit)

    in_threads(4, work)
    found = collections.by_id(stores.table, made.id)
    assert found is not None
    assert found.flushed_ops == 12


def test_an_edit_may_decline(stores: Stores, database: Database) -> None:
    made = fresh(stores, database, "one")
    collections.create(stores.table, made)
    assert collections.update(stores.table, made.id, lambda _: None).version == 1
    with pytest.raises(NotFound):
        collections.update(stores.table, UUID(int=1), lambda _: None)


def test_a_rename_moves_the_name(stores: Stores, database: Database) -> None:
    made, other = fresh(stores, database, "one"), fresh(stores, database, "other")
    for collection in (made, other):
        collections.create(stores.table, collection)
    renamed = collections.rename(stores.table, made.id, "two", lambda present: replace(present, metadata=None))
    assert (renamed.name, renamed.metadata) == ("two", None)
    assert collections.by_name(stores.table, database, "two") == renamed
    assert collections.by_name(stores.table, database, "one") is None
    with pytest.raises(AlreadyExists, match=r"Collection \[other\] already exists"):
        collections.rename(stores.table, made.id, "other", lambda present: present)
    same = collections.rename(stores.table, made.id, "two", lambda present: replace(present, metadata={"k": 1}))
    assert same.metadata == {"k": 1}


def test_of_racing_renames_to_one_name_one_wins(stores: Stores, database: Database) -> None:
    made = [fresh(stores, database, f"c{number}") for number in range(4)]
    for collection in made:
        collections.create(stores.table, collection)

    def work(number: int) -> bool:
        try:
            collections.rename(stores.table, made[number].id, "wanted", lambda present: present)
        except AlreadyExists:
            return False
        return True

    assert sum(in_threads(4, work)) == 1
    assert len(collections.list_ids(stores.table, database.namespace_id)) == 4


def test_a_drop_is_seen_at_once_and_frees_the_name(stores: Stores, database: Database) -> None:
    made = fresh(stores, database, "one")
    collections.create(stores.table, made)
    for _ in range(2):
        collections.drop(stores.table, stores.system, made.id)
    assert collections.by_id(stores.table, made.id) is None
    assert collections.by_name(stores.table, database, "one") is None
    assert [item.sk for item in stores.table.query(keys.DELETIONS)] == [keys.collection(made.id)]
    with pytest.raises(NotFound):
        collections.update(stores.table, made.id, lambda present: present)
    collections.create(stores.table, fresh(stores, database, "one"))
    collections.drop(stores.table, stores.system, UUID(int=1))


@pytest.mark.parametrize("number", range(6))
def test_a_write_repeated_by_an_adapter_is_applied_once(stores: Stores, database: Database, number: int) -> None:
    """The first answer was lost, and the adapter tried again by itself: that is no conflict with oneself."""
    table = with_faults(stores, Faults(nth(number, Fault.REPEATED))).table
    made = fresh(stores, database, "one")
    collections.create(table, made)
    collections.rename(table, made.id, "two", lambda present: present)
    collections.drop(table, stores.system, made.id)
    assert collections.by_id(stores.table, made.id) is None
    assert collections.list_ids(stores.table, database.namespace_id) == []


texts = st.text(max_size=5)


@given(
    st.builds(
        Collection,
        st.uuids(),
        texts,
        texts,
        texts,
        st.uuids(),
        st.just({"keys": {"a": {"b": None}}}),
        st.none() | st.dictionaries(texts, st.integers(-5, 5) | texts | st.booleans()),
        st.none() | st.integers(1, 4096),
        st.none() | texts,
        st.integers(0, 2**53),
        st.integers(0, 2**53),
        st.booleans(),
        st.integers(1, 9),
    )
)
def test_a_state_survives_the_round_trip(collection: Collection) -> None:
    item = Item("C#x", "STATE", states.encode(collection), collection.version)
    assert states.decode(item) == collection
    assert states.decode(item).version == collection.version


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"null", b"{}", b'{"format":2}', b'{"format":1,"id":"x"}'])
def test_an_unreadable_state_is_corrupt_and_named(value: bytes) -> None:
    with pytest.raises(Corrupt, match="C#x"):
        states.decode(Item("C#x", "STATE", value, 1))


def test_a_long_state_is_stored_short(stores: Stores, database: Database) -> None:
    """Each read of a collection reads its state along, and DynamoDB bills it by 4 KB."""
    keys_of_schema = {f"key {number}": {"string": {"enabled": True, "config": {}}} for number in range(1_000)}
    made = replace(fresh(stores, database, "wide"), schema={"keys": keys_of_schema})
    collections.create(stores.table, made)
    item = stores.table.get(keys.collection(made.id), keys.STATE)
    assert item is not None
    assert len(item.value) < 8_000
    assert states.decode(item) == made
    short = Item(item.pk, item.sk, item.value[:-5], item.version)
    with pytest.raises(Corrupt):
        states.decode(short)


def test_a_tenant_and_a_database_whose_put_is_repeated_are_created_once(stores: Stores) -> None:
    """The adapter puts again where the first answer was lost, and must not take its own put for another's."""

    def repeating() -> Catalog:
        return Catalog(with_faults(stores, Faults(nth(0, Fault.REPEATED))).table, stores.system)

    repeating().create_tenant("new")
    repeating().create_database("new", "db")
    catalog = Catalog(stores.table, stores.system)
    assert [collection.name for collection in catalog.list_databases("new")] == ["db"]
    with pytest.raises(AlreadyExists):
        catalog.create_tenant("new")
    with pytest.raises(AlreadyExists):
        catalog.create_database("new", "db")
