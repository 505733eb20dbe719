"""Collections: create, find, list, change, drop."""

import uuid
from itertools import count
from typing import Any

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


VARIANT = "data did not match any variant of untagged enum MetadataValue"


@pytest.mark.parametrize(
    ("metadata", "status", "text"),
    [
        ({}, 400, "Validation error: metadata: Metadata cannot be empty"),
        ({"#a": 1}, 400, "Validation error: metadata: Metadata key cannot start with '#' or '$': #a"),
        ({"$a": 1}, 400, "Validation error: metadata: Metadata key cannot start with '#' or '$': $a"),
        ({"": 1}, 400, "Validation error: metadata: Metadata key cannot be empty"),
        ({"a": None}, 422, "metadata.a: " + VARIANT),
        ({"a": {}}, 422, "metadata.a: " + VARIANT),
        ({"a": {"b": 1}}, 422, "metadata.a: " + VARIANT),
        ({"a": [[1]]}, 422, "metadata.a: " + VARIANT),
        ([], 422, "metadata: invalid type: sequence, expected a map"),
        ("x", 422, 'metadata: invalid type: string "x", expected a map'),
    ],
)
def test_wrong_metadata(api_client: ApiClient, metadata: Any, status: int, text: str) -> None:
    response = api_client.request("POST", COLLECTIONS, {"name": "wrong", "metadata": metadata})
    if status == 422:
        assert_invalid_body(response, text)
    else:
        assert_error(response, status, text)
    assert api_client.request("GET", COLLECTIONS + "/wrong").status_code == 404


def test_a_sparse_vector_in_a_collections_metadata(api_client: ApiClient) -> None:
    body = {"name": "wrong", "metadata": {"sv": {"indices": [1], "values": [1]}}}
    text = "Validation error: metadata: a collection's metadata holds no sparse vectors: sv"
    assert_error(api_client.request("POST", COLLECTIONS, body), 400, text)


def test_metadata_keeps_its_kinds(api_client: ApiClient) -> None:
    metadata = {"a": 1, "b": 1.0, "c": True, "d": "x", "chroma:x": 1, "e": -(2**63), "f": [1, 2.5], "g": 1e300}
    assert api_client.collection(metadata=metadata).now()["metadata"] == metadata | {"f": [1.0, 2.5]}
    assert api_client.collection(metadata={"a": 2**63}).now()["metadata"] == {"a": float(2**63)}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "missing field `name`"),
        ({"name": 1}, "name: invalid type: integer `1`, expected a string"),
        ({"name": "abc", "get_or_create": None}, "get_or_create: invalid type: null, expected a boolean"),
        ({"name": "abc", "get_or_create": 1}, "get_or_create: invalid type: integer `1`, expected a boolean"),
        ({"name": "abc", "configuration": []}, "configuration: invalid type: sequence, expected a map"),
        ({"name": "abc", "configuration": {"hnsw": {"spce": 1}}}, "configuration.hnsw.spce: unknown field `spce`"),
        (
            {"name": "abc", "configuration": {"hnsw": {"space": "bad"}}},
            "configuration.hnsw.space: unknown variant `bad`, expected one of `l2`, `cosine`, `ip`",
        ),
        (
            {"name": "abc", "configuration": {"hnsw": {"ef_search": -1}}},
            "configuration.hnsw.ef_search: invalid value: integer `-1`, expected at least 0",
        ),
        (
            {"name": "abc", "configuration": {"hnsw": {"ef_search": 1.5}}},
            "configuration.hnsw.ef_search: invalid type: floating point `1.5`, expected an integer",
        ),
        (
            {"name": "abc", "configuration": {"embedding_function": {"type": "wrong"}}},
            (
                "configuration.embedding_function.type: unknown variant `wrong`, "
                "expected one of `legacy`, `unknown`, `known`"
            ),
        ),
        (
            {"name": "abc", "configuration": {"embedding_function": {"type": "known", "name": "x"}}},
            "configuration.embedding_function: missing field `config`",
        ),
        ({"name": "abc", "schema": {}}, "schema: missing field `defaults`"),
        ({"name": "abc", "schema": {"defaults": {}}}, "schema: missing field `keys`"),
        (
            {
                "name": "abc",
                "schema": {"defaults": {"int": {"int_inverted_index": {"enabled": True}}}, "keys": {}},
            },
            "schema.defaults.int.int_inverted_index: missing field `config`",
        ),
    ],
)
def test_wrong_shapes(api_client: ApiClient, body: dict[str, Any], text: str) -> None:
    assert_invalid_body(api_client.request("POST", COLLECTIONS, body), text)


def test_a_wrong_name(api_client: ApiClient) -> None:
    response = api_client.request("POST", COLLECTIONS, {"name": "ab"})
    assert response.json()["message"].startswith("Validation error: name: Expected a name containing 3-512 characters")


def test_a_schema_refused(api_client: ApiClient) -> None:
    sparse = {"sparse_vector": {"sparse_vector_index": {"enabled": True, "config": {}}}}
    arguments = {"defaults": {}, "keys": {"#k": sparse}}
    text = "Validation error: schema: key cannot begin with '#'. Keys starting with '#' are reserved for system use: #k"
    assert_error(api_client.request("POST", COLLECTIONS, {"name": "abc", "schema": arguments}), 400, text)


def test_parameters_of_a_full_text_index_are_taken_and_shown(api_client: ApiClient) -> None:
    index = {"fts_index": {"enabled": True, "config": {"algorithm": "token_bitmap"}}}
    schema = {"defaults": {}, "keys": {"#document": {"string": index}}}
    made = api_client.collection(schema=schema).created
    assert made["schema"]["keys"]["#document"]["string"]["fts_index"] == index["fts_index"]
    index["fts_index"]["config"] = {"algorithm": "other"}
    response = api_client.request("POST", COLLECTIONS, {"name": "abc", "schema": schema})
    assert response.status_code == 422


def test_a_sparse_index_is_taken_and_shown(api_client: ApiClient) -> None:
    config = {"embedding_function": {"type": "unknown"}, "source_key": "#document", "bm25": True}
    sparse = {"sparse_vector": {"sparse_vector_index": {"enabled": True, "config": config}}}
    arguments = {"defaults": {}, "keys": {"k": sparse}}
    made = api_client.request("POST", COLLECTIONS, {"name": "abc", "schema": arguments}).json()
    assert made["schema"]["keys"]["k"] == sparse
    assert api_client.request("GET", f"{COLLECTIONS}/abc").json() == made


def test_writes_register_their_keys(collection: CollectionClient) -> None:
    metadata = {"i": 1, "f": 1.5, "s": "x", "b": True, "li": [1], "ls": ["x"]}
    collection.add(ids=["a", "b"], embeddings=[[1], [2]], metadatas=[metadata, {"i": 1.5}])
    keys = collection.now()["schema"]["keys"]
    assert {key: set(types) for key, types in keys.items() if not key.startswith("#")} == {
        "i": {"int", "float"},
        "f": {"float"},
        "s": {"string"},
        "b": {"bool"},
        "li": {"int"},
        "ls": {"string"},
    }
    assert keys["s"]["string"] == {
        "fts_index": {"enabled": False, "config": {}},
        "string_inverted_index": {"enabled": True, "config": {}},
    }


def test_filters_on_what_is_not_indexed(api_client: ApiClient) -> None:
    off = {"enabled": False, "config": {}}
    schema = {
        "defaults": {},
        "keys": {
            "nofilter": {"string": {"string_inverted_index": off}},
            "#document": {"string": {"fts_index": off}},
        },
    }
    collection = api_client.collection(schema=schema).add(ids=["a"], embeddings=[[1]], metadatas=[{"nofilter": "x"}])
    text = "Cannot filter using metadata key 'nofilter' with type 'Str' because indexing is disabled"
    for operation, vectors in (("get", {}), ("delete", {}), ("query", {"query_embeddings": [[1]]})):
        response = collection.post(operation, where={"nofilter": "x"}, **vectors)
        assert_error(response, 400, text)
    assert collection.post("get", where={"nofilter": 1}).json()["ids"] == []
    response = collection.post("get", where_document={"$contains": "x"})
    assert_error(response, 400, "Cannot filter using full-text search because FTS indexing is disabled")


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


def test_a_new_configuration(api_client: ApiClient) -> None:
    collection = api_client.collection(configuration={"hnsw": {"space": "cosine"}})
    change = {"new_configuration": {"hnsw": {"ef_search": 7}, "embedding_function": {"type": "legacy"}}}
    assert api_client.request("PUT", collection.path, change).json() == {}
    configuration = collection.now()["configuration_json"]
    assert configuration["hnsw"]["ef_search"] == 7
    assert configuration["hnsw"]["space"] == "cosine"
    assert configuration["embedding_function"] == {"type": "legacy"}
    assert api_client.request("PUT", collection.path, {"new_configuration": {"spann": {"ef_search": 3}}}).json() == {}
    assert collection.now()["configuration_json"] == configuration
    response = api_client.request("PUT", collection.path, {"new_configuration": {"hnsw": {"space": "ip"}}})
    assert_invalid_body(response, "new_configuration.hnsw.space: unknown field `space`")
    response = api_client.request("PUT", collection.path, {"new_configuration": {"hnsw": {}, "spann": {}}})
    assert_error(response, 400, "Multiple vector index configurations provided")


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
