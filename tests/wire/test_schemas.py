"""Schemas and configurations: what is taken, shown, refused; what writes and filters make of them."""

from tests.wire.clients import DATABASE, ApiClient, CollectionClient, assert_error, assert_invalid_body

COLLECTIONS = DATABASE + "/collections"


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
