"""Collections: metadata, shapes and names that are refused, and the kinds of metadata that are taken."""

from typing import Any

import pytest

from tests.wire.clients import DATABASE, ApiClient, assert_error, assert_invalid_body

COLLECTIONS = DATABASE + "/collections"
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
