"""Add, update, upsert, delete: what is refused, in which words and in which order, and what is kept."""

import base64
from typing import Any

import numpy as np
import pytest

from tests.wire.clients import ApiClient, CollectionClient, assert_error, assert_invalid_body

MISSING = "00000000-0000-4000-8000-000000000000"
NO_PAYLOAD = "embeddings: data did not match any variant of untagged enum EmbeddingsPayload"
NO_VALUE = "metadatas[0].a: data did not match any variant of untagged enum MetadataValue"
NOT_FINITE = "Validation error: embeddings: Embeddings must not contain NaN or Infinity values"
NO_DIMENSION = "Validation error: embeddings: Each embedding must have at least 1 dimension"
RESERVED = "keys beginning with 'chroma:' are reserved: chroma:document"
LENGTHS = "Inconsistent number of IDs, embeddings, documents, URIs and metadatas"

NO_METADATA: tuple[Any, ...] = (
    None,
    {},
    {"b": 1},
    [1, "x"],
    [1, True],
    [None],
    [[1]],
    [{}],
    {"#type": "x", "indices": [1], "values": [1]},
    {"indices": [-1], "values": [1]},
    {"indices": [2**32], "values": [1]},
    {"indices": [1], "values": ["a"]},
    {"indices": [1], "values": [1], "tokens": [1]},
)


def coded(*numbers: float) -> str:
    return base64.b64encode(np.array(numbers, dtype="<f4").tobytes()).decode()


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({}, "missing field `ids`"),
        ({"ids": ["a"]}, "missing field `embeddings`"),
        ({"ids": ["a"], "embeddings": None}, NO_PAYLOAD),
        ({"ids": None, "embeddings": []}, "ids: invalid type: null, expected a sequence"),
        ({"ids": "a", "embeddings": []}, 'ids: invalid type: string "a", expected a sequence'),
        ({"ids": [1], "embeddings": [[1]]}, "ids[0]: invalid type: integer `1`, expected a string"),
        ({"ids": ["a", None], "embeddings": [[1]]}, "ids[1]: invalid type: null, expected a string"),
        ({"ids": ["a"], "embeddings": [None]}, NO_PAYLOAD),
        ({"ids": ["a"], "embeddings": [[1, None]]}, NO_PAYLOAD),
        ({"ids": ["a"], "embeddings": [["x"]]}, NO_PAYLOAD),
        ({"ids": ["a"], "embeddings": [[True]]}, NO_PAYLOAD),
        ({"ids": ["a"], "embeddings": [[[1]]]}, NO_PAYLOAD),
        ({"ids": ["a"], "embeddings": [1]}, NO_PAYLOAD),
        ({"ids": ["a", "b"], "embeddings": [[1], "AAAA"]}, NO_PAYLOAD),
        ({"ids": ["a"], "embeddings": "AAAA"}, NO_PAYLOAD),
        ({"ids": ["a"], "embeddings": {}}, NO_PAYLOAD),
        (
            {"ids": ["a"], "embeddings": [[1]], "documents": [1]},
            "documents[0]: invalid type: integer `1`, expected a string",
        ),
        (
            {"ids": ["a"], "embeddings": [[1]], "documents": "a"},
            'documents: invalid type: string "a", expected a sequence',
        ),
        ({"ids": ["a"], "embeddings": [[1]], "uris": [{}]}, "uris[0]: invalid type: map, expected a string"),
        ({"ids": ["a"], "embeddings": [[1]], "metadatas": {}}, "metadatas: invalid type: map, expected a sequence"),
        (
            {"ids": ["a"], "embeddings": [[1]], "metadatas": [[1]]},
            "metadatas[0]: invalid type: sequence, expected a map",
        ),
        *[
            ({"ids": ["a"], "embeddings": [[1]], "metadatas": [{"b": 1, "a": value}]}, NO_VALUE)
            for value in NO_METADATA
        ],
        # A wrong shape anywhere comes before a wrong value anywhere.
        ({"ids": [""], "embeddings": ["!"], "metadatas": [{"#": 1, "a": None}]}, NO_VALUE),
    ],
)
def test_wrong_shapes(collection: CollectionClient, body: dict[str, Any], what: str) -> None:
    assert_invalid_body(collection.post("add", **body), what)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"ids": ["a"], "embeddings": ["!!!!"]}, "Invalid base64 string: Invalid symbol 33, offset 0."),
        ({"ids": ["a"], "embeddings": ["AAAA AA="]}, "Invalid base64 string: Invalid symbol 32, offset 4."),
        ({"ids": ["a"], "embeddings": ["AA_-AA=="]}, "Invalid base64 string: Invalid symbol 95, offset 2."),
        ({"ids": ["a"], "embeddings": ["AAAAAA==\n"]}, "Invalid base64 string: Invalid symbol 10, offset 8."),
        ({"ids": ["a"], "embeddings": ["AAé="]}, "Invalid base64 string: Invalid symbol 195, offset 2."),
        ({"ids": ["a"], "embeddings": ["AAA"]}, "Invalid base64 string: Invalid padding"),
        ({"ids": ["a"], "embeddings": ["AAAAAA"]}, "Invalid base64 string: Invalid padding"),
        ({"ids": ["a"], "embeddings": ["AAAAAB=="]}, "Invalid base64 string: Invalid last symbol 66, offset 5."),
        (
            {"ids": ["a"], "embeddings": ["AAAA"]},
            "Invalid byte length: 3 bytes cannot be converted to f32 values (must be divisible by 4)",
        ),
        ({"ids": ["a"], "embeddings": [coded(1, np.nan)]}, "Non-finite float value at embedding index 1: NaN"),
        ({"ids": ["a"], "embeddings": [coded(-np.inf)]}, "Non-finite float value at embedding index 0: -inf"),
        (
            {"ids": ["a", "b"], "embeddings": [coded(1, 2), coded(1, np.inf)]},
            "Non-finite float value at embedding index 1: inf",
        ),
        ({"ids": ["a"], "embeddings": [[1e39]]}, NOT_FINITE),
        ({"ids": ["a"], "embeddings": [[-1e39, 1]]}, NOT_FINITE),
        ({"ids": ["a"], "embeddings": [[]]}, NO_DIMENSION),
        ({"ids": ["a"], "embeddings": [""]}, NO_DIMENSION),
        ({"ids": ["a", "b"], "embeddings": [[1], []]}, NO_DIMENSION),
        ({"ids": ["a", "b"], "embeddings": [[1], [1, 2]]}, "Inconsistent dimensions in provided embeddings"),
        ({"ids": ["a", "b"], "embeddings": [coded(1), coded(1, 2)]}, "Inconsistent dimensions in provided embeddings"),
        ({"ids": ["a"], "embeddings": [[1], [1, 2]]}, "Inconsistent dimensions in provided embeddings"),
        ({"ids": ["a"], "embeddings": []}, LENGTHS),
        ({"ids": [], "embeddings": [[1]]}, LENGTHS),
        ({"ids": ["", "b"], "embeddings": [[1]]}, LENGTHS),
        ({"ids": ["a"], "embeddings": [[1]], "documents": []}, LENGTHS),
        ({"ids": ["a"], "embeddings": [[1]], "documents": ["a", "b"]}, LENGTHS),
        ({"ids": ["a"], "embeddings": [[1]], "metadatas": []}, LENGTHS),
        ({"ids": ["a"], "embeddings": [[1]], "uris": []}, LENGTHS),
        ({"ids": ["a", ""], "embeddings": [[1], [1]]}, "Empty ID, ID must have at least one character"),
        *[
            (
                {"ids": ["a", "b"], "embeddings": [[1], [1]], "metadatas": [{"good": 1}, {"good": 1, key: 1}]},
                "Validation error: metadatas: Invalid metadata at index 1",
            )
            for key in ("", "#a", "$a")
        ],
        (
            {"ids": ["a"], "embeddings": [[1]], "metadatas": [{"chroma:document": "q"}]},
            f"Validation error: metadatas: Invalid metadata at index 0: {RESERVED}",
        ),
        *[
            (
                {"ids": ["a"], "embeddings": [[1]], "metadatas": [{"sv": vector}]},
                "Validation error: metadatas: Invalid metadata at index 0",
            )
            for vector in (
                {"indices": [2, 1], "values": [1, 2]},
                {"indices": [1, 1], "values": [1, 2]},
                {"indices": [1], "values": [1, 2]},
                {"indices": [1], "values": [1], "tokens": []},
                {"indices": [2, 1], "values": [1, 2], "tokens": ["a", "b"]},
                {"indices": [1], "values": [1e39]},
            )
        ],
    ],
)
def test_wrong_values(api_client: ApiClient, collection: CollectionClient, body: dict[str, Any], text: str) -> None:
    for operation in ("add", "upsert"):
        assert_error(collection.post(operation, **body), 400, text)
    assert collection.get("count").json() == 0
    # A collection that is not there is the greater news.
    gone = CollectionClient(api_client, collection.database, {"id": MISSING})
    assert_error(gone.post("add", **body), 404, f"Collection [{MISSING}] does not exist.")
    response = CollectionClient(api_client, collection.database, {"id": "zz"}).post("add", **body)
    assert_error(response, 400, "Collection ID is not a valid UUIDv4")


TAG = {"#type": "sparse_vector"}


@pytest.mark.parametrize(
    ("arguments", "answered"),
    [
        ({"indices": [1], "values": [0.1]}, {**TAG, "indices": [1], "values": [0.1]}),
        (
            {**TAG, "indices": [0, 2**32 - 1], "values": [1, -2]},
            {**TAG, "indices": [0, 2**32 - 1], "values": [1.0, -2.0]},
        ),
        ({**TAG, "indices": [], "values": [], "tokens": None, "x": 1}, {**TAG, "indices": [], "values": []}),
        (
            {"tokens": ["é", ""], "values": [0, 3.4028235e38], "indices": [7, 8]},
            {**TAG, "indices": [7, 8], "values": [0.0, 3.4028235e38], "tokens": ["é", ""]},
        ),
    ],
)
def test_sparse_vectors_come_back_as_they_were_sent(
    collection: CollectionClient, arguments: dict[str, Any], answered: dict[str, Any]
) -> None:
    collection.add(ids=["a", "b"], embeddings=[[1], [2]], metadatas=[{"sv": arguments, "n": 1}, None])
    collection.post("upsert", ids=["b", "c"], embeddings=[[2], [3]], metadatas=[{"sv": arguments}, {"sv": arguments}])
    collection.post("update", ids=["a", "b"], metadatas=[{"n": 2}, {"sv": None}])
    got = collection.post("get").json()
    assert got["metadatas"] == [{"sv": answered, "n": 2}, None, {"sv": answered}]
    result = collection.post("query", query_embeddings=[[3]], n_results=1).json()
    assert result["metadatas"] == [[{"sv": answered}]]


def test_a_key_with_sparse_vectors_is_registered(collection: CollectionClient) -> None:
    collection.add(ids=["a"], embeddings=[[1]], metadatas=[{"sv": {"indices": [1], "values": [0.5]}}])
    off = {"enabled": False, "config": {"embedding_function": {"type": "unknown"}, "bm25": False}}
    assert collection.now()["schema"]["keys"]["sv"] == {"sparse_vector": {"sparse_vector_index": off}}


def test_a_sparse_vector_compares_with_nothing(collection: CollectionClient) -> None:
    sparse = {"sv": {"indices": [1], "values": [0.5]}}
    collection.add(ids=["a", "b"], embeddings=[[1], [2]], metadatas=[sparse, {"sv": 1}])
    for where, ids in (
        ({"sv": 1}, ["b"]),
        ({"sv": {"$ne": 1}}, ["a"]),
        ({"sv": {"$nin": [1, 2]}}, ["a"]),
        ({"sv": {"$gte": 0}}, ["b"]),
        ({"sv": {"$contains": 1}}, []),
        ({"sv": {"$not_contains": 1}}, ["a", "b"]),
    ):
        assert collection.post("get", where=where).json()["ids"] == ids


def test_dimensions(collection: CollectionClient) -> None:
    collection.add(ids=["a"], embeddings=[[1, 2]])
    text = "Collection expecting embedding with dimension of 2, got 3"
    for operation in ("add", "upsert", "update"):
        assert_error(collection.post(operation, ids=["a"], embeddings=[[1, 2, 3]]), 400, text)
    assert_error(collection.post("update", ids=["a", "b"], embeddings=[None, coded(1, 2, 3)]), 400, text)


def test_every_embedding_arrives_as_it_was_sent(collection: CollectionClient) -> None:
    numbers = [
        [0.1, -2.5e-8],
        [1, 2],
        [18446744073709551615, 9223372036854775807],
        [1e38, 123456789012345678901234567890],
    ]
    collection.add(ids=["a", "b", "c", "d"], embeddings=numbers)
    collection.add(ids=["e"], embeddings=[coded(0.1, -2.5e-8)])
    result = np.array(collection.records("embeddings")["embeddings"], dtype=np.float32)
    expected = np.array([*numbers, numbers[0]], dtype=np.float32)
    assert result.tobytes() == expected.tobytes()


def test_nothing_to_write(collection: CollectionClient) -> None:
    for operation, status in (("add", 201), ("upsert", 200), ("update", 200)):
        response = collection.post(operation, ids=[], embeddings=[], documents=[], metadatas=[], uris=[])
        assert (response.status_code, response.json()) == (status, {})
    assert collection.get("count").json() == 0


def test_metadata_round_trips(collection: CollectionClient) -> None:
    metadata = {
        "i": 9007199254740993,
        "least": -(2**63),
        "f": 1.0,
        "b": True,
        "s": "naïve \x00 \U0001f600",
        "li": [1, 2],
        "lf": [1.5, 2.0],
        "lb": [True, False],
        "ls": ["x", ""],
    }
    collection.add(ids=["a"], embeddings=[[1]], metadatas=[metadata])
    response = collection.post("get", include=["metadatas"])
    assert response.json()["metadatas"] == [metadata]
    assert b'"f":1.0' in response.content
    assert b'"i":9007199254740993' in response.content


def test_numbers_beyond_int64_become_floats(collection: CollectionClient) -> None:
    arguments = {"a": 2**63, "b": 2**64, "c": -(2**63) - 1, "l": [1, 2.5], "m": [1, 2**63], "n": 2**63 - 1}
    collection.add(ids=["a"], embeddings=[[1]], metadatas=[arguments])
    (result,) = collection.records("metadatas")["metadatas"]
    assert result == {"a": 2.0**63, "b": 2.0**64, "c": -(2.0**63), "l": [1.0, 2.5], "m": [1.0, 2.0**63], "n": 2**63 - 1}
    assert all(type(item) is float for item in (result["a"], result["b"], result["c"], *result["l"], *result["m"]))


def test_empty_metadata_is_none(collection: CollectionClient) -> None:
    collection.add(
        ids=["a", "b", "c"], embeddings=[[1]] * 3, metadatas=[{}, None, {"l": []}], documents=["", None, "x"]
    )
    result = collection.records("metadatas", "documents", "uris")
    assert result["metadatas"] == [None, None, None]
    assert result["documents"] == ["", None, "x"]
    assert result["uris"] == [None, None, None]


def test_update_merges(collection: CollectionClient) -> None:
    collection.add(
        ids=["a"], embeddings=[[1]], documents=["one"], uris=["u"], metadatas=[{"k": 1, "l": [1], "m": "x", "n": 1}]
    )
    response = collection.post("update", ids=["a", "zz"], metadatas=[{"k": "s", "l": [], "n": None}, None])
    assert (response.status_code, response.json()) == (200, {})
    collection.post("update", ids=["a"], documents=[None], uris=[None], embeddings=[None], metadatas=[{}])
    assert collection.records("metadatas", "documents", "uris", "embeddings") == {
        "ids": ["a"],
        "embeddings": [[1.0]],
        "documents": ["one"],
        "uris": ["u"],
        "metadatas": [{"k": "s", "m": "x"}],
        "include": ["metadatas", "documents", "uris", "embeddings"],
    }
    collection.post("update", ids=["a", "a"], documents=["two", "three"], embeddings=[coded(2), None])
    result = collection.records("documents", "embeddings")
    assert (result["documents"], result["embeddings"]) == (["three"], [[2.0]])


def test_upsert_inserts_or_merges(collection: CollectionClient) -> None:
    collection.add(ids=["a", "b"], embeddings=[[1], [2]], metadatas=[{"k": 1, "d": 1}, None], documents=["one", None])
    response = collection.post(
        "upsert", ids=["c", "a"], embeddings=[[3], [4]], metadatas=[{"x": None, "y": 1}, {"d": None, "z": True}]
    )
    assert (response.status_code, response.json()) == (200, {})
    result = collection.records("metadatas", "documents", "embeddings")
    assert result["ids"] == ["a", "b", "c"]
    assert result["metadatas"] == [{"k": 1, "z": True}, None, {"y": 1}]
    assert result["documents"] == ["one", None, None]
    assert result["embeddings"] == [[4.0], [2.0], [3.0]]


def test_add_leaves_what_is_there(collection: CollectionClient) -> None:
    collection.add(ids=["a"], embeddings=[[1]], documents=["one"])
    collection.add(ids=["b", "a", "b"], embeddings=[[2], [3], [4]], documents=["two", "x", "y"])
    result = collection.records("documents")
    assert (result["ids"], result["documents"]) == (["a", "b"], ["one", "two"])


def test_update_shapes(collection: CollectionClient) -> None:
    mixed = collection.post("update", ids=["a", "b"], embeddings=[[1, 2], coded(1, 2)])
    assert_invalid_body(mixed, "embeddings: data did not match any variant of untagged enum UpdateEmbeddingsPayload")
    response = collection.post("update", ids=["a"], metadatas=[{"a": {}}])
    assert_invalid_body(response, "metadatas[0].a: data did not match any variant of untagged enum UpdateMetadataValue")
    assert_error(
        collection.post("update", ids=["a"], metadatas=[{"#a": None}]),
        400,
        "Validation error: metadatas: Invalid metadata at index 0",
    )
    assert_error(collection.post("update", ids=["a"], embeddings=[]), 400, LENGTHS)
    for embeddings in (None, [None]):
        assert collection.post("update", ids=["a"], embeddings=embeddings).status_code == 200
    assert_invalid_body(collection.post("upsert", ids=["a"], embeddings=[None]), NO_PAYLOAD)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"ids": []}, "Validation error: ids, where: Either ids or where must be specified"),
        ({"ids": [], "limit": 1}, "Validation error: ids, where: Either ids or where must be specified"),
        ({"limit": 0}, "Validation error: limit, where: limit can only be specified when a where clause is provided"),
        (
            {"ids": ["a"], "limit": 1},
            "Validation error: limit, where: limit can only be specified when a where clause is provided",
        ),
        ({"where": {}}, "Invalid where clause"),
        ({"where": None, "where_document": {}}, "Invalid where document clause"),
    ],
)
def test_wrong_deletes(api_client: ApiClient, collection: CollectionClient, body: dict[str, Any], text: str) -> None:
    collection.add(ids=["a"], embeddings=[[1]])
    assert_error(collection.post("delete", **body), 400, text)
    assert collection.get("count").json() == 1
    gone = CollectionClient(api_client, collection.database, {"id": MISSING})
    assert_error(gone.post("delete", **body), 404, f"Collection [{MISSING}] does not exist.")


def test_deletes(api_client: ApiClient, collection: CollectionClient) -> None:
    collection.add(
        ids=list("abcdef"), embeddings=[[1]] * 6, metadatas=[{"n": n} for n in range(6)], documents=["x"] * 6
    )
    assert collection.post("delete").json() == {"deleted": 0}
    assert collection.post("delete", ids=["zz", "zz", ""]).json() == {"deleted": 3}
    assert collection.post("delete", ids=[], where={"n": 1}).json() == {"deleted": 0}
    assert collection.post("delete", ids=["a"], where={"n": 1}).json() == {"deleted": 0}
    assert collection.post("delete", where={"n": {"$gte": 1}}, limit=2).json() == {"deleted": 2}
    assert collection.records()["ids"] == ["a", "d", "e", "f"]
    assert collection.post("delete", where={"n": 5}, limit=0).json() == {"deleted": 0}
    assert collection.post("delete", where_document={"$contains": "x"}, ids=["d"]).json() == {"deleted": 1}
    assert collection.post("delete", ids=["a"]).json() == {"deleted": 1}
    collection.add(ids=["a"], embeddings=[[1]])
    assert collection.records()["ids"] == ["e", "f", "a"]
    assert_invalid_body(collection.post("delete", limit=-1), "limit: invalid value: integer `-1`, expected at least 0")
    gone = CollectionClient(api_client, collection.database, {"id": MISSING})
    assert gone.post("delete").status_code == 404


def test_a_field_that_occurs_twice_is_refused_and_of_equal_metadata_keys_the_last_counts(
    collection: CollectionClient,
) -> None:
    response = collection.raw("add", b'{"ids":["x"],"ids":["a"],"embeddings":[[1]]}')
    assert_invalid_body(response, "duplicate field `ids`")
    response = collection.raw("add", b'{"ids":["a"],"embeddings":[[1]],"metadatas":[{"k":1,"k":2}]}')
    assert response.status_code == 201
    result = collection.records()
    assert (result["ids"], result["metadatas"]) == (["a"], [{"k": 2}])
