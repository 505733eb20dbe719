"""Collections: create, find, list, change, drop."""

import uuid
from itertools import count

import pytest

from tests.wire.clients import API, DATABASE, ApiClient, CollectionClient, assert_error, assert_invalid_body

COLLECTIONS = DATABASE + "/collections"
MISSING = "00000000-0000-4000-8000-000000000000"

_numbers = count()


@pytest.fixture
def database(api_client: ApiClient) -> str:
    """The path of an empty database."""
    name = f"database-{next(_numbers)}"
    api_client.request("POST", API + "/tenants/default_tenant/databases", {"name": name})
    return f"{API}/tenants/default_tenant/databases/{name}"


def test_the_whole_answer(api_client: ApiClient) -> None:
    function = {"type": "known", "name": "mine", "config": {"key": None}}
    created = api_client.collection(
        name="whole", metadata={"a": 1, "b": [1, 2]}, configuration={"embedding_function": function}
    ).created
    assert list(created) == [
        "id",
        "name",
        "configuration_json",
        "schema",
        "metadata",
        "dimension",
        "tenant",
        "database",
        "log_position",
        "version",
    ]
    assert uuid.UUID(created["id"]).version == 4
    assert created["configuration_json"]["embedding_function"] == function
    assert created["configuration_json"]["spann"] is None
    assert created["configuration_json"]["hnsw"] == {
        "space": "l2",
        "ef_construction": 100,
        "ef_search": 100,
        "max_neighbors": 16,
        "resize_factor": 1.2,
        "sync_threshold": 1000,
    }
    assert set(created["schema"]) == {"defaults", "keys"}
    assert (created["metadata"], created["dimension"]) == ({"a": 1, "b": [1, 2]}, None)
    assert (created["tenant"], created["database"]) == ("default_tenant", "default_database")
    assert (created["log_position"], created["version"]) == (0, 0)
    assert api_client.request("GET", COLLECTIONS + "/whole").json() == created
    assert api_client.request("GET", f"{COLLECTIONS}/by-id/{created['id']}").json() == created
    assert api_client.request("GET", f"{COLLECTIONS}/by-id/{uuid.UUID(created['id']).hex.upper()}").json() == created


def test_the_dimension_comes_with_the_first_embedding(collection: CollectionClient) -> None:
    collection.post("add", ids=[], embeddings=[])
    collection.post("update", ids=["a"], documents=["no vector"])
    assert collection.now()["dimension"] is None
    assert collection.post("update", ids=["missing"], embeddings=[[1, 2, 3]]).status_code == 200
    assert collection.now()["dimension"] == 3
    assert collection.get("count").json() == 0


def test_names_are_taken_once(api_client: ApiClient, database: str) -> None:
    first = api_client.collection(database, name="taken", metadata={"a": 1})
    response = api_client.request("POST", database + "/collections", {"name": "taken"})
    assert_error(response, 409, "Collection [taken] already exists")
    body = {"name": "taken", "get_or_create": True, "metadata": {"b": 2}, "configuration": {"hnsw": {"space": "ip"}}}
    assert api_client.request("POST", database + "/collections", body).json() == first.created
    assert api_client.request("POST", database + "/collections", body | {"name": "TAKEN"}).json()["metadata"] == {
        "b": 2
    }
    response = api_client.request("POST", database + "/collections", body | {"metadata": {}})
    assert_error(response, 400, "Validation error: metadata: Metadata cannot be empty")


def test_an_unknown_database(api_client: ApiClient) -> None:
    for path in (API + "/tenants/default_tenant/databases/nosuch", API + "/tenants/nosuch/databases/nosuch"):
        response = api_client.request("POST", path + "/collections", {"name": "abc"})
        assert_error(response, 400, "Database [nosuch] does not exist")
        assert api_client.request("GET", path + "/collections").json() == []
        assert api_client.request("GET", path + "/collections_count").json() == 0
        assert_error(api_client.request("GET", path + "/collections/abc"), 404, "Collection [abc] does not exist")


def test_lists_are_by_id(api_client: ApiClient, database: str) -> None:
    made = sorted(api_client.collection(database).created["id"] for _ in range(5))
    path = database + "/collections"
    assert [item["id"] for item in api_client.request("GET", path).json()] == made
    assert [item["id"] for item in api_client.request("GET", path + "?limit=2&offset=1").json()] == made[1:3]
    assert api_client.request("GET", path + "?limit=0").json() == []
    assert api_client.request("GET", path + "?offset=1000000").json() == []
    assert api_client.request("GET", database + "/collections_count").json() == 5


def test_missing_collections(api_client: ApiClient) -> None:
    assert_error(api_client.request("GET", COLLECTIONS + "/nosuch"), 404, "Collection [nosuch] does not exist")
    assert_error(api_client.request("GET", f"{COLLECTIONS}/{MISSING}"), 404, f"Collection [{MISSING}] does not exist")
    assert_error(api_client.request("DELETE", COLLECTIONS + "/nosuch"), 404, "Collection [nosuch] does not exist")
    assert_error(
        api_client.request("GET", f"{COLLECTIONS}/by-id/{MISSING}"), 404, f"Collection [{MISSING}] does not exist"
    )
    assert_error(
        api_client.request("GET", COLLECTIONS + "/by-id/x"),
        400,
        "Validation error: collection_id: Invalid collection ID format, expected UUID",
    )
    assert_error(
        api_client.request("PUT", f"{COLLECTIONS}/{MISSING}", {}), 404, f"Collection [{MISSING}] does not exist."
    )
    response = api_client.request("PUT", f"{COLLECTIONS}/{MISSING}", {"new_metadata": {}})
    assert_error(response, 404, f"Collection [{MISSING}] does not exist.")
    assert_error(api_client.request("PUT", COLLECTIONS + "/x", {}), 400, "Collection ID is not a valid UUIDv4")


def test_a_collection_is_found_by_its_id_where_no_name_is_so(api_client: ApiClient, database: str) -> None:
    made = api_client.collection(database, name="by-either").created
    path = database + "/collections/"
    assert api_client.request("GET", path + made["id"]).json() == made
    assert api_client.request("GET", path + made["id"].upper()).json() == made
    # A name goes first, also one that is another's id.
    namesake = api_client.collection(database, name=made["id"]).created
    assert api_client.request("GET", path + made["id"]).json() == namesake
    assert api_client.request("DELETE", path + made["id"]).json() == {}
    assert api_client.request("GET", path + made["id"]).json() == made
    assert_error(
        api_client.request("GET", f"{COLLECTIONS}/{made['id']}"), 404, f"Collection [{made['id']}] does not exist"
    )
    assert_error(
        api_client.request("DELETE", f"{COLLECTIONS}/{made['id']}"), 404, f"Collection [{made['id']}] does not exist"
    )
    assert api_client.request("DELETE", path + made["id"]).json() == {}
    assert_error(api_client.request("DELETE", path + made["id"]), 404, f"Collection [{made['id']}] does not exist")


def test_unknown_fields_are_ignored(api_client: ApiClient, database: str) -> None:
    extra = {"page_size": 3, "tenant": "other", "nested": {"deep": [None]}}
    made = api_client.collection(database, **extra)
    assert api_client.request("PUT", made.path, {"new_name": "with-more", **extra}).json() == {}
    assert made.now()["name"] == "with-more"
    for path in (API + "/tenants", API + "/tenants/default_tenant/databases"):
        assert api_client.request("POST", path, {"name": f"extra-{made.created['id']}", **extra}).json() == {}


def test_a_rename(api_client: ApiClient, database: str) -> None:
    one, _two = api_client.collection(database, name="one"), api_client.collection(database, name="two")
    assert api_client.request("PUT", one.path, {"new_name": "one"}).json() == {}
    assert api_client.request("PUT", one.path, {"new_name": "three"}).json() == {}
    assert one.now()["name"] == "three"
    assert api_client.request("GET", database + "/collections/one").status_code == 404
    response = api_client.request("PUT", one.path, {"new_name": "two"})
    assert_error(response, 409, "Collection [two] already exists")
    response = api_client.request("PUT", one.path, {"new_name": "a"})
    assert response.json()["message"].startswith("Validation error: new_name: Expected a name containing 3-512")
    assert_invalid_body(
        api_client.request("PUT", one.path, {"new_name": 1}), "new_name: invalid type: integer `1`, expected a string"
    )


def test_new_metadata_replaces_the_old(api_client: ApiClient) -> None:
    collection = api_client.collection(metadata={"a": 1, "b": 2})
    assert api_client.request("PUT", collection.path, {"new_metadata": {"c": 3, "d": None}}).json() == {}
    assert collection.now()["metadata"] == {"c": 3}
    for body in ({}, {"new_metadata": None, "new_name": None, "new_configuration": None}):
        assert api_client.request("PUT", collection.path, body).json() == {}
        assert collection.now()["metadata"] == {"c": 3}
    assert api_client.request("PUT", collection.path, {"new_metadata": {"a": None}}).json() == {}
    assert collection.now()["metadata"] is None
    for metadata, text in (
        ({}, "Metadata cannot be empty"),
        ({"#a": 1}, "Metadata key cannot start with '#' or '$': #a"),
        ({"": None}, "Metadata key cannot be empty"),
    ):
        response = api_client.request("PUT", collection.path, {"new_metadata": metadata})
        assert_error(response, 400, f"Validation error: new_metadata: {text}")
    response = api_client.request("PUT", collection.path, {"new_metadata": {"a": {}}})
    assert_invalid_body(response, "new_metadata.a: data did not match any variant of untagged enum UpdateMetadataValue")


def test_a_dropped_collection(api_client: ApiClient) -> None:
    collection = api_client.collection(name="dropped").add(ids=["a"], embeddings=[[1]])
    assert api_client.request("DELETE", COLLECTIONS + "/dropped").json() == {}
    text = f"Collection [{collection.created['id']}] does not exist."
    assert_error(collection.get("count"), 404, text)
    assert_error(collection.post("add", ids=["b"], embeddings=[[1]]), 404, text)
    assert api_client.collection(name="dropped").get("count").json() == 0


def test_a_collection_is_in_its_database_alone(api_client: ApiClient, database: str) -> None:
    collection = api_client.collection().add(ids=["a"], embeddings=[[1]])
    text = f"Collection [{collection.created['id']}] does not exist."
    other_scope = CollectionClient(api_client, database, collection.created)
    for operation, body in (
        ("get", {}),
        ("query", {"query_embeddings": [[1]]}),
        ("add", {"ids": ["b"], "embeddings": [[1]]}),
        ("upsert", {"ids": ["b"], "embeddings": [[1]]}),
        ("update", {"ids": ["a"]}),
        ("delete", {"ids": ["a"]}),
        ("fork", {"new_name": "abc"}),
        ("search", {"searches": []}),
    ):
        assert_error(other_scope.post(operation, **body), 404, text)
    for operation in ("count", "indexing_status", "fork_count"):
        assert_error(other_scope.get(operation), 404, text)
    assert_error(api_client.request("PUT", other_scope.path, {"new_name": "abc"}), 404, text)
    assert api_client.request("GET", f"{database}/collections/by-id/{collection.created['id']}").status_code == 404
    assert collection.get("count").json() == 1


def test_resource_names(api_client: ApiClient) -> None:
    api_client.request("POST", API + "/tenants", {"name": "crn-tenant"})
    api_client.request("PATCH", API + "/tenants/crn-tenant", {"resource_name": "acme"})
    databases = API + "/tenants/crn-tenant/databases"
    api_client.request("POST", databases, {"name": "books"})
    created = api_client.collection(databases + "/books", name="poems").created
    assert api_client.request("GET", API + "/collections/acme:books:poems").json() == created
    assert_error(api_client.request("GET", API + "/collections/acme:books:x"), 404, "Collection [x] does not exist")
    assert_error(api_client.request("GET", API + "/collections/x:y:z"), 404, "Tenant with resource name [x] not found")
    for bad in ("x", "a:b:", "a:b:c:d"):
        assert api_client.request("GET", f"{API}/collections/{bad}").json()["message"] == (
            "Validation error: crn: CRN must be in the format "
            "<tenant_resource_name>:<database_name>:<collection_name> with non-empty parts"
        )
